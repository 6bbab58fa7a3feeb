"""`sessiond run --detach`: into the background, and the truth about how that went. Not for service managers.

python-daemon does the detaching; its parent exits with 0 before anything has been tried. So a process is
forked first, which detaches itself, while the command waits in the foreground for its word through a pipe.
"""

import contextlib
import json
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from sessiond.lock import InstanceLock, holder
from sessiond.logs import event
from sessionlib.errors import ConfigError, SessionlibError
from sessionlib.locations import absolute

_LOG = logging.getLogger("sessiond")

DEADLINE = 60.0
"""Seconds that the foreground command waits for the daemon's word."""
_ENDING = 5.0
"""Seconds that it waits for one that failed to be gone."""
_INTERRUPTED = 128 + signal.SIGINT
_MANAGERS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
"""Variables that speak of a service manager's unit, which a detached process is no part of."""


class _EndedError(SessionlibError):
    """The daemon has ended, or is about to."""

    def __init__(self, message: str, code: int, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = code


class Readiness:
    """The daemon's word to the command that started it; given once, what follows is not said any more.

    May be used from any thread, and when the command has left.

    Args:
        descriptor: The pipe to the command.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._open = True
        self._lock = threading.Lock()

    @property
    def given(self) -> bool:
        """True when the command has been told how it went."""
        return not self._open

    def ready(self, note: str | None = None) -> None:
        """Say that the daemon listens; `note` is what it still waits for ("waiting for the database")."""
        self._say({"ready": True, "note": note}, last=True)

    def failed(self, message: str, code: int, *, hint: str | None = None) -> None:
        """Say why the daemon did not come up, and what the command is to end with."""
        self._say({"ready": False, "message": message, "code": code, "hint": hint}, last=True)

    def _detached(self) -> None:
        self._say({"pid": os.getpid()}, last=False)

    def _say(self, word: Mapping[str, Any], *, last: bool) -> None:
        with self._lock:
            if not self._open:
                return
            # The command may have been interrupted; PIPE is ignored by the interpreter.
            with contextlib.suppress(OSError):
                os.write(self._descriptor, json.dumps(word).encode() + b"\n")
            if last:
                self._open = False
                os.close(self._descriptor)


def ensure_standard_streams() -> None:
    """Open what is closed of the standard streams on the null device.

    To be called before any file is opened: a file that got one of their numbers would be written into by
    whoever writes to standard error, and be replaced when a process detaches.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is given out, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115


def detached(
    start: Callable[[Readiness], int],
    *,
    lock: InstanceLock,
    log_file: Path,
    deadline: float = DEADLINE,
) -> str:
    """Run `start` in a process of its own in the background; wait until it says how that went.

    To be called with one thread alive, no signals taken over, and the lock acquired, so that a second
    instance has been told already. What `start` uses (signals, logs, database) it opens over there; its paths
    must be absolute, since the working folder is ``/``. It runs with umask 077, without a terminal, with
    standard output and error appended to `log_file`. Its process never returns from here: it ends with the
    code that `start` returns, or that of its error, without the interpreter's end.

    Args:
        start: The daemon's life; calls `Readiness.ready` once it listens.
        lock: Held here; passed on, and given up here.
        log_file: Made 0600 when it does not exist.
        deadline: Seconds to wait for the daemon's word.

    Returns:
        A sentence that names the process and its log.

    Raises:
        ConfigError: The log file cannot be opened.
        SessionlibError: The daemon failed, died, or gave no word in time (it goes on then); `exit_code` is
            what the command is to end with.
        RuntimeError: There are other threads: they would not exist in the new process, but their locks would.
    """
    _refuse_threads()
    log_file = absolute(log_file)
    log = _opened(log_file)
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    # Ctrl-C is for the command, which must know by then whom to tell.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    child = os.fork()
    if child == 0:
        os.close(reader)
        _live(start, Readiness(writer), lock, log, mask)
    os.close(writer)
    os.close(log)
    # Closed, not unlocked: the daemon has it from now on, and nobody else.
    lock.release()
    waiting = _Waiting(reader, log_file, deadline, mask)
    try:
        return waiting.report()
    except KeyboardInterrupt:
        waiting.stop()
        _wait_for_end(lock)
        raise _EndedError(f"interrupted; {waiting.name} was told to stop", _INTERRUPTED) from None
    except _EndedError:
        _wait_for_end(lock)
        raise
    finally:
        os.close(reader)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, os.WNOHANG)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _refuse_threads() -> None:
    threads = Path("/proc/self/task")
    count = len(list(threads.iterdir())) if threads.is_dir() else threading.active_count()
    if count != 1:
        message = f"a process with {count} threads cannot be detached"
        raise RuntimeError(message)


def _opened(log_file: Path) -> int:
    try:
        log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(
            f"the log file {log_file} cannot be opened: {error.strerror}",
            key="log.file",
            hint="name another as log.file in the configuration",
        ) from error


# --- in the background ---------------------------------------------------------------------------


def _live(
    start: Callable[[Readiness], int],
    readiness: Readiness,
    lock: InstanceLock,
    log: int,
    mask: Iterable[int],
) -> NoReturn:
    """Detach, live and leave; nothing of the foreground's calls is ever returned to."""
    code = 1
    try:
        # Both may come from the terminal before the process has left it; `start` takes them over.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _detach(lock, readiness, log)
        lock.adopt()
        readiness._detached()  # noqa: SLF001 - the two ends of one pipe
        code = start(readiness) or 0
        readiness.failed("sessiond ended before it was up", code or 1)
    except SessionlibError as error:
        code = error.exit_code
        event(_LOG, logging.ERROR, "sessiond.failed", error.message, hint=error.hint, code=code)
        readiness.failed(error.message, code, hint=error.hint)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        readiness.failed("sessiond ended before it was up", code or 1)
    except BaseException as error:  # noqa: BLE001 - it must neither vanish nor run the foreground's code
        _LOG.exception("a defect ended the process", extra={"event": "sessiond.crashed"})
        # Its text may hold anything, a password too; the log leaves such things out.
        readiness.failed(f"sessiond ended by a defect ({type(error).__name__})", 1)
    finally:
        with contextlib.suppress(Exception):
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _detach(lock: InstanceLock, readiness: Readiness, log: int) -> None:
    from daemon import DaemonContext  # noqa: PLC0415 - python-daemon, for this option alone
    from daemon import daemon as internals  # noqa: PLC0415

    # It closes every number that the hard limit allows, which may be a thousand million; few are open.
    internals._total_file_descriptor_range = range(_highest_descriptor() + 1)  # noqa: SLF001
    with open(os.devnull, "rb") as nothing, open(log, "ab", buffering=0) as output:  # noqa: PTH123
        DaemonContext(
            working_directory="/",
            umask=0o077,
            detach_process=True,
            prevent_core=True,
            initgroups=False,
            signal_map={},
            files_preserve=[lock.fileno(), readiness._descriptor],  # noqa: SLF001
            stdin=nothing,
            stdout=output,
            stderr=output,
        ).open()
    for name in _MANAGERS:
        os.environ.pop(name, None)


def _highest_descriptor() -> int:
    return max(int(entry.name) for entry in Path("/dev/fd").iterdir())


# --- in the foreground ---------------------------------------------------------------------------


class _Waiting:
    """The command's end of the pipe.

    Args:
        reader: Its descriptor.
        log_file: For what is said of it.
        deadline: Seconds to wait for the daemon's word.
        mask: The signals that are blocked while nothing is read. Ctrl-C must not come between reading the
            daemon's process id and noting it: nobody would know whom to stop.
    """

    def __init__(self, reader: int, log_file: Path, deadline: float, mask: Iterable[int]) -> None:
        self._reader = reader
        self._mask = mask
        self._log_file = log_file
        self._deadline = deadline
        self._until = time.monotonic() + deadline
        self._kept = b""
        self._pid: int | None = None

    @property
    def name(self) -> str:
        """The daemon, with its process id once that is known."""
        return "sessiond" if self._pid is None else f"sessiond (process {self._pid})"

    def report(self) -> str:
        """Wait for the daemon's last word and put it as a sentence."""
        hint = f"read its log: {self._log_file}"
        for word in self._words():
            if word.get("ready") is False:
                raise _EndedError(word["message"], word["code"], hint=word["hint"] or hint)
            if word.get("ready"):
                note = f", {word['note']}" if word["note"] else ""
                return f"sessiond runs as process {self._pid}{note}; it logs to {self._log_file}"
        raise _EndedError(f"{self.name} died without a word", 1, hint=hint)

    def stop(self) -> None:
        """Tell the daemon to stop, as soon as it has said who it is."""
        self._until = time.monotonic() + _ENDING
        self._mask = {*self._mask, signal.SIGINT}
        words = self._words()
        with contextlib.suppress(SessionlibError, ProcessLookupError):
            while self._pid is None and next(words, None) is not None:
                pass
            if self._pid is not None:
                os.kill(self._pid, signal.SIGTERM)

    def _words(self) -> Iterator[dict[str, Any]]:
        """Yield what the daemon says until it has nothing more to say."""
        while self._is_readable():
            got = os.read(self._reader, 65536)
            if not got:
                return
            *lines, self._kept = (self._kept + got).split(b"\n")
            for word in map(json.loads, lines):
                self._pid = word.get("pid", self._pid)
                yield word
        raise SessionlibError(
            f"{self.name} is not up after {self._deadline:g} s; it goes on starting",
            hint=f"read its log: {self._log_file}; end it with: sessiond stop",
        )

    def _is_readable(self) -> bool:
        """Wait for a word, and for Ctrl-C; False when the time is up."""
        readable = select.poll()
        readable.register(self._reader, select.POLLIN)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        try:
            return bool(readable.poll(max(0.0, self._until - time.monotonic()) * 1000))
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _wait_for_end(lock: InstanceLock) -> None:
    """Wait a moment until the process has gone, so that the next start is not refused because of it."""
    until = time.monotonic() + _ENDING
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            if holder(lock.path.parent) is None:
                return
        time.sleep(0.01)
