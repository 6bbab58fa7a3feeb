"""Signals: one thread learns of each through a pipe and acts on it; the handlers themselves do nothing.

The interpreter's own C handler writes every number into the pipe the moment it comes, so TERM is heard even
while the main thread sits in a C call (a name server that does not answer). What is registered as the Python
handler is a C function without effect: no bytecode of ours ever runs in a handler, so a storm of signals can
neither nest handlers nor meet a lock that the interrupted code holds.

The stacks that USR2 asks for are written by that thread while it holds the interpreter. faulthandler's own
handler reads the frames of threads that run meanwhile; under load every tenth dump or so ended the process by
SIGSEGV. It stays in charge of crashes, and of ABRT, which is what to send when the interpreter itself hangs.
"""

import contextlib
import faulthandler
import fcntl
import logging
import operator
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from traceback import StackSummary, walk_stack

from sessiond.logs import event

_LOG = logging.getLogger("sessiond.signals")

STANDARD_ERROR = "standard error"
"""What `on_dump` is told when the stacks went there."""

_EXIT_BASE = 128
_STDERR = 2
_STOPS = frozenset({signal.SIGTERM, signal.SIGINT})
_HANDLED = (*sorted(_STOPS), signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_LOOK, _END = 0, 255
"""Bytes in the pipe that are no signals: look again, and end."""
_PIPE_SIZE = 1 << 20
"""Bytes the pipe is to hold on Linux: more signals than can come while a thread waits for the interpreter."""
_WALKS = 5
"""Times at most that all stacks are walked until it was quick enough."""
_STACKS_MOST = 1 << 20
"""Bytes of a stacks file beyond which the next start empties it."""


class Signals:
    """What each signal does.

    TERM and INT set `stop`; the second of them leaves the process at once with 128 + its number. HUP reloads,
    USR1 rescans, USR2 writes the stacks of all threads. Signals that come before `listen` are kept, once each
    (stacks are written at once). PIPE is ignored.

    Attributes:
        stop: Set when the process is to stop.
        received: The signal that asked for it, if one did.
    """

    def __init__(self) -> None:
        self.stop = Event()
        self.received: signal.Signals | None = None
        self._actions: dict[int, Callable[[], None]] | None = None
        self._pending: set[int] = set()
        self._patience: tuple[float, int] | None = None
        self._leave_at: float | None = None
        self._before: dict[int, Callable[..., object] | int | None] = {}
        self._wakeup = -1
        self._reader = self._writer = -1
        self._thread: Thread | None = None
        self._stacks: tuple[int, str] = (_STDERR, STANDARD_ERROR)

    def install(self) -> None:
        """Take the signals over and start the thread that acts on them.

        To be called in the main thread, before anything that lasts (HUP kills until then), and after a fork.
        """
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        if sys.platform == "linux":
            # Refused when the user's share of pipe memory is used up; the usual 64 KiB do then.
            with contextlib.suppress(OSError):
                fcntl.fcntl(self._writer, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in _HANDLED:
            self._before[number] = signal.signal(number, operator.is_)
        self._before[signal.SIGPIPE] = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self._thread = Thread(target=self._serve, name="signals", daemon=True)
        self._thread.start()
        self._write_stacks_to(_STDERR, STANDARD_ERROR)

    def uninstall(self) -> None:
        """Give everything back as it was before `install`; for tests. Main thread only."""
        if self._thread is None:
            return
        self._write_stacks_to(_STDERR, STANDARD_ERROR)
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        os.write(self._writer, bytes([_END]))
        self._thread.join()
        self._thread = None
        os.close(self._reader)
        os.close(self._writer)

    def dump_to(self, path: Path) -> None:
        """Let stacks be appended to this file (made 0600) from now on; also those of a crash.

        A file that cannot be opened leaves them on standard error.
        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            if os.fstat(descriptor).st_size > _STACKS_MOST:
                os.ftruncate(descriptor, 0)
        except OSError as error:
            event(_LOG, logging.WARNING, "signal.no_stacks", "stacks go to standard error", error=str(error))
            return
        self._write_stacks_to(descriptor, str(path))

    def listen(
        self,
        *,
        on_reload: Callable[[], None],
        on_rescan: Callable[[], None],
        on_dump: Callable[[str], None],
    ) -> None:
        """Name what HUP, USR1 and USR2 do; what came before is delivered now, once each.

        The functions are called on the thread "signals" and must return at once, since a TERM waits behind
        them. Signals that come together are one call. None but `on_dump` is called once `stop` is set.

        Args:
            on_reload: Asks for the configuration to be read again.
            on_rescan: Asks for a comparison of everything.
            on_dump: Is told where the stacks have been written: a path, or `STANDARD_ERROR`.
        """
        self._actions = {
            signal.SIGHUP: on_reload,
            signal.SIGUSR1: on_rescan,
            signal.SIGUSR2: lambda: on_dump(self._stacks[1]),
        }
        self._look()

    def give_up_after(self, seconds: float, *, code: int = 0) -> None:
        """Leave the process with `code` when it still runs so many seconds after the first TERM or INT.

        The last resort against a main thread that hangs where no deadline reaches it; the stacks are written
        to standard error first. To be given more than the drain deadline.
        """
        self._patience = (seconds, code)
        self._look()

    def _look(self) -> None:
        """Let the thread look again; a full pipe does so by itself."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer, bytes([_LOOK]))

    def _serve(self) -> None:
        readable = select.poll()
        readable.register(self._reader, select.POLLIN)
        while True:
            if not readable.poll(self._wait_ms()):
                self._give_up()
            numbers = os.read(self._reader, _PIPE_SIZE)
            self._take(numbers)
            if _END in numbers:
                return

    def _wait_ms(self) -> float | None:
        """Milliseconds until the process is to be left by force; None while it need not."""
        if self._patience is None or self._leave_at is None:
            return None
        return max(0.0, self._leave_at + self._patience[0] - time.monotonic()) * 1000

    def _take(self, numbers: bytes) -> None:
        for number in numbers:
            if number in _STOPS:
                self._asked_to_stop(signal.Signals(number))
        asked = set(numbers) - _STOPS - {_LOOK, _END}
        if signal.SIGUSR2 in asked:
            _write_stacks(self._stacks[0])
        self._pending |= asked
        if self._actions is not None:
            self._deliver(self._actions)

    def _asked_to_stop(self, number: signal.Signals) -> None:
        if self.received is not None:
            os._exit(_EXIT_BASE + number)
        self.received = number
        self._leave_at = time.monotonic()
        self.stop.set()

    def _deliver(self, actions: dict[int, Callable[[], None]]) -> None:
        due, self._pending = self._pending, set()
        for number in sorted(due & actions.keys()):
            if self.stop.is_set() and number != signal.SIGUSR2:
                continue
            try:
                actions[number]()
            except Exception:  # noqa: BLE001 - this thread must live to hear the TERM
                name = signal.Signals(number).name
                message = "what the signal asks for failed"
                _LOG.exception(message, extra={"event": "signal.failed", "fields": {"signal": name}})

    def _give_up(self) -> None:
        seconds, code = self._patience or (0.0, 0)
        # Not through logging: the thread that hangs may hold a handler's lock.
        text = f"sessiond: still running {seconds:g} s after it was asked to stop; leaving\n"
        try:
            os.write(_STDERR, text.encode())
            _write_stacks(_STDERR)
        finally:
            os._exit(code)

    def _write_stacks_to(self, descriptor: int, name: str) -> None:
        faulthandler.enable(descriptor, all_threads=True)
        before, self._stacks = self._stacks[0], (descriptor, name)
        if before not in {_STDERR, descriptor}:
            os.close(before)


def _write_stacks(descriptor: int) -> None:
    """Write where every thread is; what cannot be written is lost."""
    stacks = _walked()
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    text = [f"stacks of process {os.getpid()}, {stamp}, the latest call last\n"]
    for ident, stack in stacks.items():
        text.append(f"thread {names.get(ident, ident)}:\n")
        text += StackSummary.from_list(stack[::-1]).format()
    with contextlib.suppress(OSError):
        os.write(descriptor, "".join([*text, "\n"]).encode("utf-8", "replace"))


def _walked() -> dict[int, list[tuple[str, int, str, None]]]:
    """Return where each thread is, by its ident: file, line and function of each call, the latest first."""
    # In one go, and no source file is looked at: once another thread runs, a generator that has yielded no
    # longer knows who called it. A thread that waits asks for the interpreter after its switch interval: what
    # took as long, because the system stopped this process, is done again. No frame is kept.
    stacks: dict[int, list[tuple[str, int, str, None]]] = {}
    for _ in range(_WALKS):
        began = time.perf_counter()
        stacks = {
            ident: [(at.f_code.co_filename, line, at.f_code.co_name, None) for at, line in walk_stack(top)]
            for ident, top in sys._current_frames().items()  # noqa: SLF001 - documented, underscore and all
        }
        if time.perf_counter() - began < sys.getswitchinterval() / 2:
            break
    return stacks
