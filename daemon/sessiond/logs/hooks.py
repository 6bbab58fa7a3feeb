"""What Python itself would print over several lines on standard error: crashes of threads, and warnings."""

import logging
import sys
import threading
import warnings
from types import TracebackType
from typing import TextIO

_LOG = logging.getLogger("sessiond")


class Hooks:
    """Has Python report to the log from `install` to `remove`, which brings back what was there before."""

    def __init__(self) -> None:
        self._excepthook = sys.excepthook
        self._unraisablehook = sys.unraisablehook
        self._thread_hook = threading.excepthook
        self._showwarning = warnings.showwarning
        self._raise_exceptions = logging.raiseExceptions

    def install(self) -> None:
        """Put our hooks in place."""
        sys.excepthook = self._crashed
        sys.unraisablehook = self._unraisable
        threading.excepthook = self._thread_crashed
        warnings.showwarning = self._warned
        # watchdog warns of a race that it handles, in words as long as its map of watches.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"watchdog(\.|$)")
        # A full disk under the log must not stop the mirror, nor print tracebacks about itself.
        logging.raiseExceptions = False

    def remove(self) -> None:
        """Put back what was there, unless somebody has put something else there since."""
        if sys.excepthook == self._crashed:
            sys.excepthook = self._excepthook
        if sys.unraisablehook == self._unraisable:
            sys.unraisablehook = self._unraisablehook
        if threading.excepthook == self._thread_crashed:
            threading.excepthook = self._thread_hook
        if warnings.showwarning == self._warned:
            warnings.showwarning = self._showwarning
        logging.raiseExceptions = self._raise_exceptions

    def _crashed(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        _log_crash(threading.current_thread().name, kind, error, trace)

    def _thread_crashed(self, told: threading.ExceptHookArgs) -> None:
        if told.exc_type is SystemExit:
            return
        name = told.thread.name if told.thread else "unknown"
        error = told.exc_value if told.exc_value is not None else told.exc_type()
        _log_crash(name, told.exc_type, error, told.exc_traceback)

    def _unraisable(self, told: "sys.UnraisableHookArgs") -> None:
        error = told.exc_value if told.exc_value is not None else told.exc_type()
        _LOG.warning(
            told.err_msg or "an exception could not be raised where it happened",
            exc_info=(told.exc_type, error, told.exc_traceback),
            extra={"event": "python.unraisable", "fields": {"object": told.object}},
        )

    def _warned(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if file is not None:
            self._showwarning(message, category, filename, lineno, file, line)
            return
        fields = {"category": category.__name__, "file": filename, "line": lineno}
        _LOG.warning("%s", message, extra={"event": "python.warning", "fields": fields})


def _log_crash(
    thread: str, kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    _LOG.critical(
        "a thread ended by an exception",
        exc_info=(kind, error, trace),
        extra={"event": "thread.crashed", "fields": {"thread": thread, "error": error}},
    )
