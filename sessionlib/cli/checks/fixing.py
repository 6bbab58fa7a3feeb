"""What `sessionctl doctor --fix` does: only to our own files, and only what nobody can miss.

Whatever a living daemon could be using is left alone: its lock is held while it is looked for.
"""

import fcntl
import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sessionlib.cli.checks import rights
from sessionlib.cli.checks.finding import OK, WARN, Finding
from sessionlib.cli.checks.patient import Patient
from sessionlib.cli.text import words
from sessionlib.journal.spool import BESIDE, DROPPED_MARK, FULL_MARK, MOST_BYTES, MOST_FILES

_STALE = 3600.0
"""Seconds after which what a process left half written is nobody's."""
_CANARY = ".canary"
_STATUS_DRAFT = re.compile(r"\.status\.json\.(\d+)")
_TOKEN_DRAFT = re.compile(r"control-token\.[0-9a-f]{32}")
_SOCKET_DRAFT = re.compile(r"\.[0-9a-f]{4,16}")


def fix(patient: Patient) -> Iterator[Finding]:
    """Mend what is safe to mend; yield what was done, and what could not be."""
    for work in (_close, _left_over, _spool):
        try:
            yield from work(patient)
        except OSError as error:
            says = f"{error.filename or patient.config.state_dir}: {error.strerror}"
            yield Finding("fixed", WARN, f"could not be mended: {says}", "do it as the user that owns it")


def _done(says: str) -> Finding:
    return Finding("fixed", OK, says)


def _close(patient: Patient) -> Iterator[Finding]:
    """Take the rights of others away from files that are ours."""
    for own in rights.owned(patient):
        fault = rights.fault_of(own)
        if fault is None or fault.mode is None or own.path.is_symlink():
            continue
        if own.path == patient.config.state_dir and own.path.stat().st_mode & stat.S_ISVTX:
            continue  # a folder like /tmp is everybody's on purpose
        own.path.chmod(fault.mode)
        yield _done(f"closed the {own.name} {own.path} to others (mode {fault.mode:04o})")


def _left_over(patient: Patient) -> Iterator[Finding]:
    """Remove the socket and the drafts of daemons that ended in the middle."""
    places = patient.config.locations
    with _alone(places.lock_file) as nobody_runs:
        if not nobody_runs:
            return
        if _is_stale_socket(places.socket):
            places.socket.unlink()
            yield _done(f"removed the socket {places.socket}, to which nobody listens")
        if places.lock_file.stat().st_size:
            # The file itself stays: without it two daemons could hold "the" lock.
            os.truncate(places.lock_file, 0)
            yield _done(f"emptied {places.lock_file}, which named a process that is gone")
        for path in _drafts(places.state_dir, places.runtime_dir):
            path.unlink()
            yield _done(f"removed {path}, left half written")
        canary = places.state_dir / _CANARY
        if canary.is_dir() and not canary.is_symlink():
            shutil.rmtree(canary)
            yield _done(f"removed {canary}, left by a canary")


@contextmanager
def _alone(lock_file: Path) -> Iterator[bool]:
    """Hold the lock of a daemon; yield False where one runs, or none ever has."""
    try:
        descriptor = os.open(lock_file, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _is_stale_socket(path: Path) -> bool:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return False
    except OSError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def _drafts(state_dir: Path, runtime_dir: Path) -> Iterator[Path]:
    """Yield files of the forms that we give to what is not finished; no daemon runs."""
    for path in list(state_dir.iterdir()):
        is_status = _STATUS_DRAFT.fullmatch(path.name) is not None
        is_token = _TOKEN_DRAFT.fullmatch(path.name) is not None and _is_old(path)
        if (is_status or is_token) and stat.S_ISREG(path.lstat().st_mode):
            yield path
    for path in list(runtime_dir.iterdir()) if runtime_dir.is_dir() else []:
        if _SOCKET_DRAFT.fullmatch(path.name) and _is_stale_socket(path):
            yield path


def _is_old(path: Path) -> bool:
    return time.time() - path.lstat().st_mtime > _STALE  # noqa: TID251 - as the file system counts


def _spool(patient: Patient) -> Iterator[Finding]:
    """Take away the marks of trouble that is over; losses are said once more."""
    box = patient.spool
    waiting, size = box.waiting()
    if (box.folder / FULL_MARK).exists() and waiting < MOST_FILES // 2 and size < MOST_BYTES // 2:
        box.relieve()
        yield _done(
            f"took the mark away that {box.folder} is full: {words(waiting, 'delivery', 'deliveries')} wait"
        )
    if dropped := box.dropped():
        (box.folder / DROPPED_MARK).unlink()
        yield _done(
            f"noted that {words(dropped, 'delivery', 'deliveries')} were lost because the spool was full"
        )
    beside = box.folder / BESIDE
    for path in list(beside.iterdir()) if beside.is_dir() else []:
        with suppress(FileNotFoundError):
            if _is_old(path):
                path.unlink()
                yield _done(f"removed {path}, left half written")
