"""The one handler: judges, formats and puts out records, and counts what is lost."""

import logging
from collections.abc import Iterable
from contextlib import suppress
from threading import RLock

from typing_extensions import override

from sessiond.logs.events import own_record
from sessiond.logs.limit import Limit, Report
from sessiond.logs.lines import LineFormat
from sessiond.logs.outputs import Output
from sessiond.logs.picture import event_of
from sessiond.logs.text import as_text

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


class Outlet(logging.Handler):
    """Puts records out; never raises into the program, and never prints about itself.

    Records are formatted outside its lock, so that a slow value holds up its own thread only.
    """

    def __init__(self, lines: LineFormat, output: Output, limit: Limit) -> None:
        super().__init__()
        self._lines = lines
        self._output = output
        self._limit = limit
        # Reentrant, so that a signal's handler that logs does not wait for the thread it interrupted.
        self._putting = RLock()
        self._untold = 0
        self.lost = 0
        self.error: str | None = None

    @override
    def createLock(self) -> None:
        """Have no lock around `emit`."""
        self.lock = None

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Put a record out, unless it repeats a fault too often."""
        try:
            verdict = self._limit.judge(record)
            self._put_reports(verdict.reports)
            if verdict.is_shown:
                self._put(record, verdict.suppressed)
        except Exception:  # noqa: BLE001 - a defect of ours, or a value that logs itself without end
            self.lost += 1

    def report(self, *, everything: bool = False) -> None:
        """Say what the limit has left out, in the windows that are over or in all of them."""
        self._put_reports(self._limit.due(everything=everything))

    def change(self, lines: LineFormat, output: Output) -> None:
        """Go on with another format and output; closes the old output if it is another."""
        with self._putting:
            old, self._lines, self._output = self._output, lines, output
            if old is not output:
                _close(old)

    @override
    def close(self) -> None:
        """Say what was left out and close the output; what comes later is lost."""
        self.report(everything=True)
        with self._putting:
            _close(self._output)
        super().close()

    def _put_reports(self, reports: Iterable[Report]) -> None:
        for record, suppressed in reports:
            self._put(record, suppressed)

    def _put(self, record: logging.LogRecord, suppressed: int = 0) -> None:
        try:
            line = self._lines.line(record, suppressed)
        except Exception as error:  # noqa: BLE001 - a defect of ours must not lose the record without a word
            line = self._lines.line(_failed(record, error))
        with self._putting:
            try:
                self._output.put(line, _priority(record.levelno))
            except (OSError, ValueError) as error:
                self.lost += 1
                self._untold += 1
                self.error = as_text(error)
                return
            self._tell_of_losses()

    def _tell_of_losses(self) -> None:
        """After the first line that could be put out again, say how many could not."""
        if not self._untold:
            return
        fields = {"lost": self._untold, "error": self.error}
        record = own_record(logging.WARNING, "log.lost", "lines could not be written", fields)
        self._untold, self.error = 0, None
        self._put(record)


def _priority(level: int) -> int:
    """Return the syslog priority of a level."""
    return next((priority for least, priority in _PRIORITIES if level >= least), 7)


def _close(output: Output) -> None:
    with suppress(OSError):
        output.close()


def _failed(record: logging.LogRecord, error: Exception) -> logging.LogRecord:
    fields = {"of": event_of(record), "error": type(error).__name__}
    return own_record(record.levelno, "log.failed", "a record could not be formatted", fields)
