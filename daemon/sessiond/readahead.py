"""While an import is large, a second process reads session folders, so that the import has two cores.

Reading and understanding a folder takes as long as writing its rows, and Python's threads share one core:
while one worker writes what has been read, another one waits here for what is read next.
"""

import logging
import pickle
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from threading import Lock, Thread

from sessiond.logs import event
from sessionlib.sync import piping, reading
from sessionlib.sync.places import Place
from sessionlib.sync.reading import Reading

_LOG = logging.getLogger("sessiond.readahead")

_WORTH_ASKING = 16
"""Folders from which on a group is worth the way to another process and back."""
_WORTH_STARTING = 256
"""Folders in such groups, within `_WINDOW` seconds, that make it likely that many more follow."""
_WINDOW = 3.0
_MOST_FAILURES = 3
"""Times the other process may end as it should not before no more are started."""
_PATIENCE = 2.0
"""Seconds to wait for another worker's answer, which takes a tenth of it, before reading here: perhaps the
other process hangs on a file system that has gone away, and these folders lie on another one."""
_LAST_WORD = 1.0
"""Seconds to wait for its end before it is killed."""


class ReadAhead:
    """A `ReadPortion` for a daemon; safe to use from any thread. Its process starts and ends by itself.

    Args:
        allowed: False reads everything here.
    """

    def __init__(self, *, allowed: bool = True) -> None:
        self._lock = Lock()
        self._child: _Child | None = None
        self._thread: Thread | None = None
        self._closed = not allowed
        self._failures = 0
        self._window = 0.0
        self._seen = 0

    def __call__(self, place: Place, slugs: Sequence[str], settled: Collection[str]) -> dict[str, Reading]:
        """Read folders, here or there."""
        if len(slugs) >= _WORTH_ASKING and (child := self._child_for(len(slugs))) is not None:
            readings = child.ask(place, slugs, settled)
            if readings is not None:
                return readings
        return reading.portion(place, slugs, settled)

    @property
    def pid(self) -> int | None:
        """The process that reads along, while there is one."""
        with self._lock:
            return None if self._child is None else self._child.pid

    def close(self) -> None:
        """End the process, if there is one, and start none any more."""
        with self._lock:
            self._closed = True
            child, thread = self._child, self._thread
        if child is not None:
            child.hang_up()
        if thread is not None:
            thread.join(2 * _LAST_WORD)

    def _child_for(self, count: int) -> "_Child | None":
        """Return the process that reads, if there is one; start one if it looks worth it."""
        with self._lock:
            if self._child is not None or self._thread is not None or self._closed:
                return self._child
            now = time.monotonic()
            if now - self._window > _WINDOW:
                self._window, self._seen = now, 0
            self._seen += count
            if self._seen < _WORTH_STARTING or self._failures >= _MOST_FAILURES or not piping.has_two_cores():
                return None
            thread = Thread(target=self._follow, name="read-ahead", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # No more threads for this user or service: then no second process either.
                self._failures = _MOST_FAILURES
            else:
                self._thread = thread
            return None

    def _follow(self) -> None:
        """Start a process, hand it out, and wait for its end: no worker waits for either."""
        try:
            why = self._lived(_Child())
        except OSError as error:
            why = str(error)
        with self._lock:
            self._child = self._thread = None
            self._seen = 0
            self._failures += why is not None
            closed = self._closed
        if why is not None and not closed:
            event(_LOG, logging.WARNING, "readahead.failed", "no second process for the import", error=why)

    def _lived(self, child: "_Child") -> str | None:
        """Let the workers use a process until it ends; return what was wrong with its end."""
        if child.is_ready():
            event(_LOG, logging.INFO, "readahead.started", "a second process reads along", pid=child.pid)
            with self._lock:
                closed = self._closed
                self._child = None if closed else child
            if closed:
                child.hang_up()
        code = child.wait()
        return f"it ended with {code}" if code else None


class _Child:
    """The other process, and the two pipes to it.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self) -> None:
        self._process = piping.start("sessiond.reader")
        self._requests, self._answers = piping.connections(self._process)
        self._busy = Lock()

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_ready(self) -> bool:
        """Wait for its first word; False if it ends without."""
        try:
            return self._answers.recv_bytes() == b""
        except (EOFError, OSError):
            return False

    def ask(self, place: Place, slugs: Sequence[str], settled: Collection[str]) -> dict[str, Reading] | None:
        """Have it read folders; None if it hangs, could not, or is gone."""
        request = pickle.dumps((place, slugs, settled), pickle.HIGHEST_PROTOCOL)
        if not self._busy.acquire(timeout=_PATIENCE):
            return None
        try:
            self._requests.send_bytes(request)
            answer = self._answers.recv_bytes()
        except (EOFError, OSError):
            self._process.kill()
            return None
        finally:
            self._busy.release()
        # Pickles are safe here: both ends are this program, and nobody else holds these pipes.
        found: dict[str, Reading] | None = pickle.loads(answer)  # noqa: S301
        return found

    def hang_up(self) -> None:
        """Let it end: it sees that nobody will ask any more. Waits for an answer that is under way."""
        if self._busy.acquire(timeout=_LAST_WORD):
            with suppress(OSError):
                self._requests.close()
            self._busy.release()
        else:
            self._process.kill()

    def wait(self) -> int:
        """Wait for its end; return its exit code."""
        code = self._process.wait()
        with self._busy:
            self._requests.close()
            self._answers.close()
        return code
