"""Signals: the first TERM or INT asks to stop, the second leaves at once. Handlers only set an event."""

import os
import signal
from threading import Event
from types import FrameType

_EXIT_BASE = 128


class StopSignals:
    """Turns TERM and INT into an event that the main thread waits for."""

    def __init__(self) -> None:
        self.stop = Event()

    def install(self) -> None:
        """Install the handlers; only possible in the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        # No logging here: a signal may have interrupted the logger itself.
        if self.stop.is_set():
            os._exit(_EXIT_BASE + number)
        self.stop.set()
