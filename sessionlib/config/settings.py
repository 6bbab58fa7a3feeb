"""`Config`: all settings of one process, and what follows from them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import PrivateAttr
from typing_extensions import override

from sessionlib import locations
from sessionlib.config import machine, tokens, urls
from sessionlib.config.sections import (
    ControlConfig,
    DaemonConfig,
    DatabaseConfig,
    LogConfig,
    ModelName,
    ModelPrice,
    Section,
    SyncConfig,
    TrackingConfig,
    WatchConfig,
)
from sessionlib.errors import ConfigError
from sessionlib.locations import STATE_VARIABLE, Locations

DEFAULTS = "the defaults"

_PLACE_VARIABLES = ("XDG_STATE_HOME", "XDG_RUNTIME_DIR")
_SECRET_VARIABLES = ("PGPASSWORD",)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where settings came from, given to `Config.model_validate` as its context.

    Attributes:
        origins: For each key that was given, what gave it: a file, a variable, a credential, an option.
        environ: The environment they were read in.
        folder: Where relative paths start; None is the working folder.
    """

    origins: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None


class Config(Section):
    """All settings. `source` is the file they came from, for messages; `prices` are by model.

    Two are equal when every setting is, wherever it came from.
    """

    watch: WatchConfig = WatchConfig()
    database: DatabaseConfig = DatabaseConfig()
    sync: SyncConfig = SyncConfig()
    tracking: TrackingConfig = TrackingConfig()
    control: ControlConfig = ControlConfig()
    log: LogConfig = LogConfig()
    daemon: DaemonConfig = DaemonConfig()
    prices: Mapping[ModelName, ModelPrice] = {}
    source: str = DEFAULTS

    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _environ: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @override
    def model_post_init(self, context: Any, /) -> None:
        """Remember where the settings came from, and the few variables that the defaults depend on."""
        known = context if isinstance(context, Provenance) else Provenance(environ=os.environ)
        kept = (*_PLACE_VARIABLES, *_SECRET_VARIABLES)
        self._origins = dict(known.origins)
        self._environ = {name: known.environ[name] for name in kept if name in known.environ}

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Config) and dict(self) == dict(other)

    @override
    def __hash__(self) -> int:
        return hash(
            (*(getattr(self, name) for name in (*sections(), "source")), frozenset(self.prices.items()))
        )

    @property
    def locations(self) -> Locations:
        """The daemon's folders and the files in them.

        Raises:
            ConfigError: There is no home folder to put them in.
        """
        try:
            return locations.locate(self.daemon.state_dir, self.daemon.runtime_dir, self._environ)
        except RuntimeError:
            raise ConfigError(
                "there is no home folder to keep the state in",
                key="daemon.state_dir",
                source=self.origin("daemon.state_dir"),
                hint=f"name a folder with {STATE_VARIABLE} or daemon.state_dir",
            ) from None

    @property
    def state_dir(self) -> Path:
        """The folder for the SQLite file, the lock and the host's id; raises as `locations` does."""
        return self.locations.state_dir

    @property
    def log_file(self) -> Path:
        """The configured log file, else the one of a daemon that is detached; raises as `locations` does."""
        return self.log.file or self.locations.log_file

    @property
    def database_url(self) -> str:
        """The database's URL, SQLite in the state folder unless another was named."""
        return self.database.url or f"sqlite:///{self.state_dir / 'mirror.db'}"

    def origin(self, key: str) -> str:
        """Return what gave a key (``watch.roots``): a file, variable, credential, option, or the defaults."""
        return self._origins.get(key, DEFAULTS)

    def secrets(self) -> tuple[str, ...]:
        """Return the secret values in use, as they are written and as they are meant, for the log to redact.

        The token of the control listener is not among them: see `control_token`.
        """
        variables = [self._environ[name] for name in _SECRET_VARIABLES if self._environ.get(name)]
        return tuple(dict.fromkeys([*urls.passwords_in(self.database.url), *variables]))

    def control_token(self) -> str:
        """Return the token of the loopback listener; unless one is configured it is drawn once and kept.

        Raises:
            ConfigError: It cannot be read or kept.
        """
        path = self.control.token_file
        if path is None:
            return tokens.kept_token(self.locations.token_file)
        where = self.origin("control.token_file")
        return tokens.read_token(path, where=where, private=not where.startswith("credential "))

    def host_id(self) -> UUID:
        """Return this machine's id: the configured one, one derived from the machine's, or one we keep.

        Raises:
            ConfigError: The machine has none and the state folder cannot be written.
        """
        return self.daemon.host_id or machine.host_id(self.state_dir)

    def host_name(self) -> str:
        """Return this machine's name, for people."""
        return machine.host_name()


PRICES = "prices"
"""The one table whose keys, names of models, are the user's own; each is a table of its own."""


def sections() -> dict[str, type[Section]]:
    """Return the sections by name, in the order of the example file."""
    return {
        name: type(entry.default)
        for name, entry in Config.model_fields.items()
        if isinstance(entry.default, Section)
    }
