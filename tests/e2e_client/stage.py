"""The program that runs one client beside the stand-in of its API, both alone in a network of their own.

Reads a `Play` as JSON from standard input, writes what came of it as JSON to standard output, and ends with
the client or at its limit, whichever is first; nothing that the client has started outlives it. For Linux.
"""

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from tests.e2e_client.api import Api

_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1
"""Requests of Linux for an interface's flags, and the flag that says that it is up."""
_ADOPT = 36
"""Number of Linux's PR_SET_CHILD_SUBREAPER."""

_ROUNDS, _PAUSE = 20, 0.1
_GRACE = 1.5
_LOOK, _PATIENCE = 0.02, 15.0
_TURN_ENDED = '"type":"result"'


@dataclass(frozen=True, slots=True)
class Server:
    """A program that runs beside the client, in its network.

    Attributes:
        command: It and its arguments.
        environ: Its whole environment.
        log: The file that takes what it prints on standard error.
        ready: Words in it after which the client is started.
    """

    command: list[str]
    environ: dict[str, str]
    log: str
    ready: str


@dataclass(frozen=True, slots=True)
class Play:
    """One run of a client.

    Attributes:
        command: The client and its arguments.
        environ: Its whole environment; where its API is will be added.
        folder: The folder it is started in.
        output, errors: Files that take what it prints.
        prompts: What it is told on standard input, each after the end of the turn before; empty if it is not.
        seconds: When it is killed, however far it is.
        stop_at: Words in a line of its output soon after which it is sent `stop_by`; empty for never.
        stop_by: Number of a signal.
        is_alone: Whether this process has a network of its own, whose loopback must be brought up.
        beside: What is started before the client, and told to end after it.
    """

    command: list[str]
    environ: dict[str, str]
    folder: str
    output: str
    errors: str
    prompts: list[str] = field(default_factory=list)
    seconds: float = 90.0
    stop_at: str = ""
    stop_by: int = signal.SIGTERM
    is_alone: bool = False
    beside: Server | None = None


def play(given: Play) -> dict[str, object]:
    """Run a client to its end; return its exit code, whether it was cut off, and what its API has to tell."""
    if given.is_alone:
        _bring_loopback_up()
    _adopt_orphans()
    with (
        _running(given.beside),
        Api(given.folder) as api,
        open(given.output, "wb") as output,  # noqa: PTH123
        open(given.errors, "wb") as errors,  # noqa: PTH123
    ):
        process = subprocess.Popen(
            given.command,
            env=given.environ | {"ANTHROPIC_BASE_URL": api.url},
            cwd=given.folder,
            stdin=subprocess.PIPE if given.prompts else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        late = threading.Event()
        limit = threading.Timer(given.seconds, _cut_off, (late,))
        limit.daemon = True
        limit.start()
        try:
            _converse(process, given, output)
            code = process.wait()
        finally:
            limit.cancel()
        return {"code": code, "is_late": late.is_set(), **api.told()}


@contextmanager
def _running(server: Server | None) -> Iterator[None]:
    """Have a server run inside the block; after it nothing runs any more that was started here."""
    try:
        if server is None:
            yield
            return
        with open(server.log, "wb") as log:  # noqa: PTH123
            process = subprocess.Popen(server.command, env=server.environ, stderr=log)
        while server.ready not in Path(server.log).read_text(errors="replace"):
            assert process.poll() is None, Path(server.log).read_text(errors="replace")
            time.sleep(_LOOK)
        yield
        process.terminate()
        process.wait(_PATIENCE)
    finally:
        _end_orphans()


def _converse(process: subprocess.Popen[bytes], given: Play, output: IO[bytes]) -> None:
    """Keep what the client prints, and tell it the next prompt whenever it has ended a turn."""
    assert process.stdout is not None
    prompts = iter(given.prompts)
    _say_next(process, prompts)
    for line in process.stdout:
        output.write(line)
        text = line.decode(errors="replace")
        if given.stop_at and given.stop_at in text:
            # What the line tells of has only begun.
            time.sleep(_GRACE)
            process.send_signal(given.stop_by)
        if _TURN_ENDED in text.replace('": "', '":"'):
            _say_next(process, prompts)


def _say_next(process: subprocess.Popen[bytes], prompts: Iterator[str]) -> None:
    """Tell a client its next prompt; without one its input ends."""
    if process.stdin is None or process.stdin.closed:
        return
    prompt = next(prompts, None)
    with suppress(BrokenPipeError):
        if prompt is None:
            process.stdin.close()
            return
        told = {"type": "user", "message": {"role": "user", "content": prompt}}
        process.stdin.write(json.dumps(told).encode() + b"\n")
        process.stdin.flush()


def _adopt_orphans() -> None:
    """Be handed what the client leaves running: a tool's command has a session of its own."""
    ctypes.CDLL(None).prctl(_ADOPT, 1, 0, 0, 0)


def _children() -> set[int]:
    """Return the processes that are this one's own or were handed to it."""
    found: set[int] = set()
    for listed in Path("/proc/self/task").glob("*/children"):
        # A thread of the stand-in may have ended meanwhile; its children are the others' then.
        with suppress(OSError):
            found.update(map(int, listed.read_text().split()))
    return found


def _kill_children() -> None:
    for pid in _children():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _cut_off(late: threading.Event) -> None:
    """End the client, and then what it had started: that may hold its output open."""
    late.set()
    for _ in range(_ROUNDS):
        _kill_children()
        time.sleep(_PAUSE)


def _end_orphans() -> None:
    """End them, and what they leave in turn; the client itself is gone by now."""
    while _children():
        _kill_children()
        with suppress(ChildProcessError):
            os.wait()


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        request = struct.pack("16sh14x", b"lo", 0)
        _, flags = struct.unpack("16sh14x", fcntl.ioctl(asked, _GET_FLAGS, request))
        fcntl.ioctl(asked, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))


def as_text(given: Play) -> str:
    """Return a play as this program takes it."""
    return json.dumps(asdict(given))


if __name__ == "__main__":
    told = json.load(sys.stdin)
    told["beside"] = told["beside"] and Server(**told["beside"])
    sys.stdout.write(json.dumps(play(Play(**told))))
