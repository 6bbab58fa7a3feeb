"""Setting the log up, and what the running daemon may ask of it."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from sessiond.logs.hooks import Hooks
from sessiond.logs.limit import Limit
from sessiond.logs.lines import LineFormat, Style
from sessiond.logs.outlet import Outlet
from sessiond.logs.outputs import LogFile, Output, StandardError
from sessionlib.errors import ConfigError
from sessionlib.redaction import Redactor

_OURS = ("sessiond", "sessionlib")
"""Loggers that follow the configured level; all others speak from warning on."""

_SILENT = ("aiohttp.access",)
"""Loggers that say nothing: a line for every request would drown the rest."""

_LEVELS = ("debug", "info", "warning", "error", "critical")


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What is logged, how, and where to.

    Attributes:
        level: debug, info, warning, error or critical, for our own loggers.
        format: "logfmt" or "json".
        file: A file to append to; None is standard error.
    """

    level: str = "info"
    format: Style = "logfmt"
    file: Path | None = None


class Logs:
    """The log of this process; safe to use from any thread. Made by `set_up`.

    Nothing here raises for what happens to the output later: a line that cannot be written is counted in
    `lost`, `error` says why as long as that lasts, and the first line that can be written again is followed
    by one that says how many are missing.
    """

    def __init__(self, options: LogOptions, secrets: Iterable[str], clock: Callable[[], float]) -> None:
        self._options = options
        self._redactor = Redactor(secrets)
        lines = LineFormat(options.format, self._redactor)
        self._output = _output(options)
        self._outlet = Outlet(lines, self._output, Limit(self._redactor, clock))
        self._levels: dict[str | None, int] = {}
        self._hooks = Hooks()

    @property
    def options(self) -> LogOptions:
        """The options in force."""
        return self._options

    @property
    def lost(self) -> int:
        """Records that could not be written, since the start."""
        return self._outlet.lost

    @property
    def error(self) -> str | None:
        """Why the last record could not be written; None once one could."""
        return self._outlet.error

    def install(self) -> None:
        """Become the process's log; `set_up` calls it."""
        root = logging.getLogger()
        self._levels = {name: logging.getLogger(name).level for name in ("", *_OURS, *_SILENT)}
        root.setLevel(logging.WARNING)
        for name in _SILENT:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self.set_level(self._options.level)
        root.addHandler(self._outlet)
        self._hooks.install()

    def set_level(self, level: str) -> None:
        """Log our own records from this level on; other people's are logged from warning on.

        Raises:
            ConfigError: There is no such level.
        """
        _check_level(level)
        for name in _OURS:
            logging.getLogger(name).setLevel(level.upper())
        self._options = replace(self._options, level=level)

    def keep_secret(self, value: str) -> None:
        """Write ``***`` for this value from now on, wherever it stands, if it has 4 characters or more."""
        self._redactor.keep(value)

    def apply(self, options: LogOptions) -> None:
        """Go on with other options; nothing is lost between them. Opens a file, so it can block for a moment.

        Raises:
            ConfigError: They cannot be used; the old ones stay in force.
        """
        _check_level(options.level)
        if options.file != self._options.file:
            self._output = _output(options)
        self._outlet.change(LineFormat(options.format, self._redactor), self._output)
        self._options = options
        self.set_level(options.level)

    def flush(self) -> None:
        """Say how many repeated faults were left out in windows that are over; call it every few seconds."""
        self._outlet.report()

    def close(self) -> None:
        """Say all that is held back, close the output, and leave the process's logging as it was before."""
        if self in _installed:
            _installed.remove(self)
            logging.getLogger().removeHandler(self._outlet)
            self._hooks.remove()
            for name, level in self._levels.items():
                logging.getLogger(name).setLevel(level)
        self._outlet.close()


_installed: list[Logs] = []


def set_up(
    options: LogOptions, *, secrets: Iterable[str] = (), clock: Callable[[], float] = time.monotonic
) -> Logs:
    """Make the log of this process, in the place of one that was made before.

    Besides our loggers it takes warnings, and exceptions that end a thread or that Python cannot raise.

    Args:
        options: What is logged, how, and where to.
        secrets: Values that must never be seen; their URL, JSON and repr spellings are found as well.
        clock: Seconds that only go forward, for the windows of repeated faults.

    Raises:
        ConfigError: The level is unknown or the file cannot be opened; nothing was changed.
    """
    _check_level(options.level)
    logs = Logs(options, secrets, clock)
    for former in tuple(_installed):
        former.close()
    logs.install()
    _installed.append(logs)
    return logs


def _output(options: LogOptions) -> Output:
    if options.file is None:
        return StandardError()
    # The working folder may change later, and the name is looked up again and again.
    return LogFile(options.file.absolute())


def _check_level(level: str) -> None:
    if level not in _LEVELS:
        raise ConfigError(
            f"there is no log level {level!r}", key="log.level", hint=f"choose one of: {', '.join(_LEVELS)}"
        )
