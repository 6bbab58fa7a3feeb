"""How a service is to start the daemon: which program, on which roots, with which variables."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sessionlib import locations
from sessionlib.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from sessionlib.cli.context import Context
    from sessionlib.config import Config

SYSTEM_CONFIG_HOME = Path("/etc")
SYSTEM_LOCATIONS = locations.Locations(Path("/var/lib/sessiond"), Path("/run/sessiond"))
"""What the system unit says about its folders."""

_HOST_VARIABLE = "SESSIOND_HOST_ID"
_DATABASE_VARIABLE = "SESSIOND_DATABASE_URL"

STOP_TIMEOUT = 45
_STOP_MARGIN = 15
"""Seconds a stop may take: those of the definitions, or the configured drain deadline and a margin."""


@dataclass(frozen=True, slots=True)
class Launch:
    """The daemon's command line and the variables it needs.

    Attributes:
        program: `sessiond`, absolute.
        roots: Folders that replace the configured ones; none takes those.
        environment: Variables, because a service does not see those of the shell.
        stop_timeout: Seconds the service manager waits after TERM.
        log: Where a manager without a journal sends standard error.
        allow_root: Let it run as root.
    """

    program: Path
    roots: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_timeout: int = STOP_TIMEOUT
    log: Path = Path(os.devnull)
    allow_root: bool = False

    @property
    def arguments(self) -> tuple[str, ...]:
        """What follows ``sessiond run``."""
        return (*(["--allow-root"] if self.allow_root else []), *map(str, self.roots))


def plan(context: "Context", *, system: bool) -> Launch:
    """Return how the service starts the daemon, from the options of `service install` and the configuration.

    Raises:
        ConfigError: The configuration cannot be used.
        UsageError: There is nothing to watch, or an option does not fit a service.
    """
    options = context.options
    environment = _system_environment(context) if system else _user_environment(context)
    config = service_config(context) if system else context.config
    roots = tuple(locations.absolute(root) for root in options.root)
    _check_roots(roots or config.watch.roots)
    return Launch(
        program=find_program(),
        roots=roots,
        environment=environment,
        stop_timeout=max(STOP_TIMEOUT, round(config.daemon.drain_deadline) + _STOP_MARGIN),
        log=Path.home() / "Library" / "Logs" / "sessiond.log",
        allow_root=options.allow_root,
    )


def find_program() -> Path:
    """Return the `sessiond` that belongs to this `sessionctl`.

    Raises:
        UsageError: There is none.
    """
    beside = (Path(sys.argv[0]), Path(sys.executable))
    candidates = [locations.absolute(one).with_name("sessiond") for one in beside if one.name]
    on_path = shutil.which("sessiond")
    candidates += [locations.absolute(on_path)] if on_path else []
    for candidate in candidates:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    raise UsageError(
        "the program sessiond is neither beside sessionctl nor on the PATH",
        hint="install the package whole: pip install sessiond",
    )


def _check_roots(roots: tuple[Path, ...]) -> None:
    if not roots:
        raise UsageError(
            "the service has no folder to watch",
            hint="set watch.roots in the configuration, or: sessionctl service install --root ~/code",
        )
    for root in roots:
        # Not Path's questions: they raise for a name that is too long.
        if os.path.exists(root) and not os.path.isdir(root):  # noqa: PTH110, PTH112
            raise UsageError(f"{root} is not a folder", hint="name the folder that holds your projects")


def _user_environment(context: "Context") -> dict[str, str]:
    """Return what this shell has changed: the service would otherwise keep its files elsewhere."""
    options, environ = context.options, os.environ
    found: dict[str, str] = {}
    config = options.config or environ.get(locations.CONFIG_VARIABLE)
    if not config and environ.get("XDG_CONFIG_HOME"):
        usual = locations.default_config_path()
        config = usual if usual.exists() and usual != _without_xdg() else None
    if config:
        found[locations.CONFIG_VARIABLE] = str(locations.absolute(config))
    state = options.state_dir or environ.get(locations.STATE_VARIABLE)
    if not state and environ.get("XDG_STATE_HOME") and context.config.daemon.state_dir is None:
        usual = locations.locate().state_dir
        state = usual if usual != locations.locate(environ={}).state_dir else None
    if state:
        found[locations.STATE_VARIABLE] = str(locations.absolute(state))
    runtime = options.runtime_dir or environ.get(locations.RUNTIME_VARIABLE)
    if runtime:
        found[locations.RUNTIME_VARIABLE] = str(locations.absolute(runtime))
    if environ.get(_HOST_VARIABLE):
        found[_HOST_VARIABLE] = environ[_HOST_VARIABLE]
    url = options.database or environ.get(_DATABASE_VARIABLE)
    if url:
        found[_DATABASE_VARIABLE] = _without_password(url)
    return found


def _without_xdg() -> Path:
    return locations.default_config_path({})


def _without_password(url: str) -> str:
    """Return the URL, which everybody can read in a definition.

    Raises:
        UsageError: It has a password.
    """
    from sessionlib.config import refuse_password

    try:
        refuse_password(url)
    except ConfigError as error:
        raise UsageError(
            "a password in a service definition can be read by others",
            hint="unset SESSIOND_DATABASE_URL; put the password into ~/.pgpass, or the URL into a credential "
            "(LoadCredential=dsn:FILE) or a 0600 file (database.url_file)",
        ) from error
    return url


def _system_environment(context: "Context") -> dict[str, str]:
    """Return what was asked for by option; the shell of whoever installs it is not the service's.

    Raises:
        UsageError: The definition fixes it.
    """
    options = context.options
    if options.state_dir is not None or options.runtime_dir is not None:
        raise UsageError(
            "the system service has its folders in /var/lib/sessiond and /run/sessiond",
            hint="leave out --state-dir and --runtime-dir; a drop-in can change StateDirectory=",
        )
    found: dict[str, str] = {}
    if options.config is not None:
        found[locations.CONFIG_VARIABLE] = str(locations.absolute(options.config))
    if options.database is not None:
        found[_DATABASE_VARIABLE] = _without_password(options.database)
    return found


def service_config(context: "Context") -> "Config":
    """Return the settings as the system service reads them.

    Raises:
        ConfigError: They cannot be used.
    """
    from sessionlib.config import load

    environ = {
        "XDG_CONFIG_HOME": str(SYSTEM_CONFIG_HOME),
        locations.STATE_VARIABLE: str(SYSTEM_LOCATIONS.state_dir),
        locations.RUNTIME_VARIABLE: str(SYSTEM_LOCATIONS.runtime_dir),
    }
    return load(context.options.config, environ=environ)
