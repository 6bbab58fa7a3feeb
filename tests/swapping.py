"""What a hostile neighbour or a sandbox does, for tests: swapped names, special files, refused calls."""

import ctypes
import errno
import os
import socket
import struct
import sys
from pathlib import Path

import pytest

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 38
_SECCOMP_MODE_FILTER = 2
_RET_ALLOW, _RET_ERRNO = 0x7FFF0000, 0x00050000
_LOAD_NUMBER, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06


def exchange(one: Path, other: Path) -> None:
    """Let two names change places in one step, so that neither is missing for a moment."""
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE
    if libc.renameat2(*arguments) != 0:
        code = ctypes.get_errno()
        if code in {errno.EINVAL, errno.ENOSYS}:
            pytest.skip("this file system cannot exchange names")
        raise OSError(code, os.strerror(code), str(one))


def refuse_call(number: int, code: int) -> None:
    """Let the kernel answer one system call of this process with an error from now on, as a sandbox does."""
    steps = (
        struct.pack("=HBBI", _LOAD_NUMBER, 0, 0, 0),
        struct.pack("=HBBI", _JUMP_IF_EQUAL, 0, 1, number),
        struct.pack("=HBBI", _RETURN, 0, 0, _RET_ERRNO | code),
        struct.pack("=HBBI", _RETURN, 0, 0, _RET_ALLOW),
    )
    code_of = ctypes.create_string_buffer(b"".join(steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code_of)))
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero),
        (_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), program, zero, zero),
    ):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def make_socket(path: Path) -> None:
    """Leave a socket behind that nobody listens to; the path may be longer than a socket's may."""
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(before)


def make_device(path: Path) -> None:
    """Make the endless device of zeros, where this user may."""
    try:
        os.mknod(path, 0o666 | 0o020000, os.makedev(1, 5))
    except OSError:
        pytest.skip("only root makes devices")


if __name__ == "__main__":
    # A process that lives in a sandbox, for tests: NUMBER ERRNO TOP FOLDER.
    from sessionlib.state.files import read_inputs

    refuse_call(int(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.write(read_inputs(Path(sys.argv[4]), beneath=Path(sys.argv[3])).state.decode())
