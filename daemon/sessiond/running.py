"""`sessiond run`, once the lock is held: configuration → logs → service, in the foreground or detached."""

import argparse
import gc
import logging
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sessiond import heap, logs
from sessiond.detach import Readiness, detached
from sessiond.lock import InstanceLock
from sessiond.notify import Notifier
from sessiond.service import GRACE, Service, log_options
from sessiond.signals import Signals
from sessiond.telling import tell
from sessionlib import config
from sessionlib.config import Config
from sessionlib.db.engine import Database
from sessionlib.errors import ConfigError, SessionlibError, UsageError

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
        # Not Path's questions: they raise when a folder on the way may not be entered.
        if os.path.exists(root) and not os.path.isdir(root):  # noqa: PTH110, PTH112
            raise _no_folder(root, loaded.origin("watch.roots"))
    return loaded


def _no_folder(root: Path, origin: str) -> SessionlibError:
    hint = "name the folder that holds your projects"
    if origin == config.COMMAND_LINE:
        return UsageError(f"{root} is not a folder", hint=hint)
    return ConfigError(
        f"{origin}: watch.roots: {root} is not a folder", key="watch.roots", source=origin, hint=hint
    )


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


def _tune() -> None:
    """Tell Python what an import is like: thousands of objects a moment, threads that wait for each other.

    The collector need not walk the modules each time, nor look after every few documents. A thread that comes
    back from the database, above all one that mirrors what was just saved, waits at most a millisecond.
    """
    heap.give_back()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    sys.setswitchinterval(0.001)


def _serve(
    loaded: Config,
    load: Callable[[], Config],
    signals: Signals,
    *,
    on_ready: Callable[[str | None], None] = lambda _note: None,
) -> int:
    _tune()
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
