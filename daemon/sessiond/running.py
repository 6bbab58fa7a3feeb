"""`sessiond run`, once the lock is held: configuration → logs → service, in the foreground or detached."""

import argparse
import logging
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sessiond import logs
from sessiond.detach import Readiness, detached
from sessiond.lock import InstanceLock
from sessiond.notify import Notifier
from sessiond.service import GRACE, Service, log_options
from sessiond.signals import Signals
from sessiond.telling import tell
from sessionlib import config
from sessionlib.config import Config
from sessionlib.db.engine import Database
from sessionlib.errors import SessionlibError, UsageError

_LOG = logging.getLogger("sessiond")

_OVERRIDES = {
    "roots": ("watch", "roots"),
    "database": ("database", "url"),
    "state_dir": ("daemon", "state_dir"),
    "runtime_dir": ("daemon", "runtime_dir"),
    "listen": ("control", "listen"),
    "log_level": ("log", "level"),
    "log_format": ("log", "format"),
    "log_file": ("log", "file"),
}
"""Which setting an option stands for."""

_STACKS_NAME = "stacks.log"


def run(arguments: argparse.Namespace, lock: InstanceLock, signals: Signals) -> int:
    """Run the daemon until it is asked to stop; return its exit code.

    Args:
        arguments: Of `sessiond run`; their paths are absolute.
        lock: Held.
        signals: Installed, unless the daemon is to be detached.

    Raises:
        SessionlibError: What keeps it from running.
    """
    # A detached process works elsewhere; a reload must read relative paths as they were meant at the start.
    folder = _working_folder()
    loaded = load(arguments, folder)
    if arguments.detach:
        return _detach(loaded, lambda: load(arguments, folder), lock, signals)
    return _serve(loaded, lambda: load(arguments, folder), signals)


def _working_folder() -> Path:
    """Return the folder that relative paths start in; where it has been deleted, none can be meant."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path("/")


def load(arguments: argparse.Namespace, folder: Path) -> Config:
    """Read the configuration with the options of `sessiond run`; relative paths start in `folder`.

    Raises:
        ConfigError: It cannot be used.
        UsageError: There is nothing to watch.
    """
    overrides: dict[str, dict[str, Any]] = {}
    for option, (section, key) in _OVERRIDES.items():
        value = getattr(arguments, option)
        if value:
            overrides.setdefault(section, {})[key] = tuple(value) if option == "roots" else value
    if arguments.database:
        config.refuse_password(arguments.database)
    loaded = config.load(arguments.config, overrides=overrides, folder=folder)
    if not loaded.watch.roots:
        raise UsageError(
            "no folder to watch",
            hint="name one: sessiond run ~/code, or set watch.roots in the configuration",
        )
    for root in loaded.watch.roots:
        if root.exists() and not root.is_dir():
            raise UsageError(f"{root} is not a folder", hint="name the folder that holds your projects")
    return loaded


def _detach(loaded: Config, load: Callable[[], Config], lock: InstanceLock, signals: Signals) -> int:
    def start(readiness: Readiness) -> int:
        signals.install()
        signals.dump_to(loaded.state_dir / _STACKS_NAME)
        return _serve(loaded, load, signals, on_ready=readiness.ready)

    # What would keep the daemon from starting is better found before it has left the terminal.
    Database(loaded.database_url).close()
    loaded.host_id()
    said = detached(start, lock=lock, log_file=loaded.log_file)
    tell(said)
    return 0


def _serve(
    loaded: Config,
    load: Callable[[], Config],
    signals: Signals,
    *,
    on_ready: Callable[[str | None], None] = lambda _note: None,
) -> int:
    # A core would hold what the files and the configuration say.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    # Until there is something to drain, whatever hangs is left at once.
    signals.give_up_after(GRACE)
    running = logs.set_up(log_options(loaded), secrets=loaded.secrets())
    try:
        notifier = Notifier.from_environment(os.environ)
        Service(loaded, signals, load=load, logs=running, notifier=notifier, on_ready=on_ready).run()
    except SessionlibError as error:
        words = {"hint": error.hint, "code": error.exit_code}
        logs.event(_LOG, logging.ERROR, "sessiond.failed", error.message, **words)
        running.close()
        raise
    # Not closed by an exception that nobody expected: the log tells of it on the way out.
    running.close()
    return 0
