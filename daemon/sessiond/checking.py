"""`sessiond check-config`: is the configuration fit to start or reload with, and what does it say?

It opens no database, makes no file and starts nothing; the service units run it before each start and reload.
"""

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from typing import TextIO

from sessiond.fitness import unfit
from sessiond.telling import tell
from sessionlib import config as configuration
from sessionlib.config import DEFAULTS, Config, Setting
from sessionlib.errors import ConfigError, SessionlibError, printable

_FINE = 0


def run(arguments: argparse.Namespace) -> int:
    """Check, print and return the exit code: 0, or 78 when the daemon could not start with it."""
    try:
        config = configuration.load(arguments.config)
    except ConfigError as error:
        return _report(arguments, None, _told(error))
    problems = [line for error in unfit(config) for line in _told(error)]
    return _report(arguments, config, problems)


def warnings(config: Config) -> list[str]:
    """Return what works, but hardly as it was meant; looks at the roots on the disk."""
    control, tracking = config.control, config.tracking
    found = list(_root_warnings(config))
    if not config.watch.roots:
        found.append(
            "watch.roots: no folder is named; `sessiond run` needs one, there or on its command line"
        )
    if configuration.names_no_host(config.database_url):
        found.append(
            f"{config.origin('database.url')}: database.url: it names no host, so the client library's own "
            "defaults decide which server is asked (PGHOST, or a local socket)"
        )
    # Who listens for telemetry has not done so for web pages.
    if control.listen and not control.origins and not tracking.telemetry:
        found.append(
            "control.listen: control.origins is empty, so programs can use the listener, but no web page can"
        )
    if control.origins and not control.listen:
        found.append("control.origins: without control.listen there is nothing they could use")
    needed = {"tracking.hooks": tracking.hooks, "control.listen": control.listen}
    missing = " and ".join(key for key, value in needed.items() if not value)
    if tracking.telemetry and missing:
        found.append(f"tracking.telemetry: without {missing} nothing is taken from any client")
    return found


def _root_warnings(config: Config) -> Iterator[str]:
    for root in config.watch.roots:
        reason = None
        try:
            root.stat()
        except (FileNotFoundError, NotADirectoryError):
            reason = "is not there; it is watched as soon as it appears"
        except OSError as error:
            reason = f"cannot be looked at: {error.strerror}"
        if reason:
            yield f"{config.origin('watch.roots')}: watch.roots: {root} {reason}"


def _told(error: ConfigError) -> list[str]:
    first = f"{error.message} ({error.hint})" if error.hint else error.message
    return [first, *error.problems]


def _report(arguments: argparse.Namespace, config: Config | None, problems: list[str]) -> int:
    settings = [] if config is None else configuration.describe(config)
    warned = [] if config is None or problems else warnings(config)
    if arguments.json:
        answer = {
            "as_of": None,
            "stale": False,
            "ok": not problems,
            "source": None if config is None else config.source,
            "problems": problems,
            "warnings": warned,
            "rows": [setting._asdict() | {"changed": setting.changed} for setting in settings],
        }
        _say(json.dumps(answer))
    elif problems:
        for line in problems:
            _say(line, sys.stderr)
    elif config is not None:
        _show(config, settings, warned)
    return ConfigError.exit_code if problems else _FINE


def _show(config: Config, settings: list[Setting], warned: list[str]) -> None:
    if config.source == DEFAULTS:
        _say("there is no configuration file")
    else:
        _say(f"{config.source} can be used")
    changed = [setting for setting in settings if setting.changed]
    _say("other than the defaults:" if changed else "every setting has its default")
    width = min(60, max((len(setting.text) for setting in changed), default=0))
    for setting in changed:
        _say(f"  {setting.text:<{width}}  from {setting.origin}")
    for line in warned:
        _say(f"warning: {line}", sys.stderr)


def _say(text: str, stream: TextIO | None = None) -> None:
    """Write one line; names of files may hold anything, so what a terminal would obey is escaped."""
    # A standard error that is full, or that nobody reads, must not change the exit code.
    with contextlib.suppress(*([SessionlibError, SystemExit] if stream is sys.stderr else [])):
        tell(printable(text), stream)
