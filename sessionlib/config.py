"""Configuration: option, then environment, then file, then default.

The file is TOML. Unknown keys are refused, and every error names the file, the key and what is allowed.
Nothing is read at import.
"""

import os
import re
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import platformdirs
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from sessionlib.errors import ConfigError
from sessionlib.models.base import derived_id

CONFIG_VARIABLE = "SESSIOND_CONFIG"
DATABASE_VARIABLE = "SESSIOND_DATABASE_URL"
STATE_VARIABLE = "SESSIOND_STATE_DIR"
RUNTIME_VARIABLE = "SESSIOND_RUNTIME_DIR"
HOST_VARIABLE = "SESSIOND_HOST_ID"


def _expanded(path: Path) -> Path:
    try:
        return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - resolve() would follow links
    except RuntimeError as error:
        message = f"there is no home folder for {path}"
        raise ValueError(message) from error


FolderPath = Annotated[Path, AfterValidator(_expanded)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class WatchConfig(_Section):
    """What is watched, and how soon a change is seen."""

    roots: tuple[FolderPath, ...] = ()
    sessions_dirs: tuple[str, ...] = (
        "agents/sessions",
        "apps/*/agents/sessions",
        "packages/*/agents/sessions",
    )
    depth: int = Field(default=4, ge=0, le=32)
    force_polling: bool = False
    poll_interval: float = Field(default=2.0, ge=0.1, le=3600)
    quiet: float = Field(default=0.05, ge=0, le=60)
    longest_delay: float = Field(default=0.5, ge=0, le=600)
    reconcile_interval: float = Field(default=60.0, ge=1, le=86400)


class DatabaseConfig(_Section):
    """Where the mirror is kept; an empty URL means SQLite in the state folder."""

    url: str = ""
    pgbouncer: bool = False


class SyncConfig(_Section):
    """The sync queue. With `workers` 0, SQLite gets its one writer and PostgreSQL four."""

    workers: int = Field(default=0, ge=0, le=64)
    attempts: int = Field(default=6, ge=1, le=100)
    first_delay: float = Field(default=0.1, gt=0, le=60)
    longest_delay: float = Field(default=5.0, gt=0, le=3600)


class DaemonConfig(_Section):
    """The process itself."""

    state_dir: FolderPath | None = None
    drain_deadline: float = Field(default=20.0, ge=0, le=3600)
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    host_id: UUID | None = None


class Config(_Section):
    """All settings. `source` is the file they came from, for messages."""

    watch: WatchConfig = WatchConfig()
    database: DatabaseConfig = DatabaseConfig()
    sync: SyncConfig = SyncConfig()
    daemon: DaemonConfig = DaemonConfig()
    source: str = "the defaults"

    @property
    def state_dir(self) -> Path:
        """The folder for the SQLite file, the lock and the host's id."""
        return self.daemon.state_dir or Path(platformdirs.user_state_path("sessiond"))

    @property
    def database_url(self) -> str:
        """The database's URL, SQLite in the state folder unless another was named."""
        return self.database.url or f"sqlite:///{self.state_dir / 'mirror.db'}"

    def host_id(self) -> UUID:
        """Return this machine's id: the configured one, one derived from the machine's, or one we keep.

        Raises:
            ConfigError: The machine has none and the state folder cannot be written.
        """
        if self.daemon.host_id is not None:
            return self.daemon.host_id
        machine = next(filter(_is_machine_id, map(_first_line, _MACHINE_IDS)), None)
        if machine is not None:
            # Derived, never shown: systemd asks that the machine's own id stays on it.
            return derived_id("host", machine)
        return _kept_host_id(self.state_dir / "host-id")

    def host_name(self) -> str:
        """Return this machine's name, for people."""
        return socket.gethostname() or "localhost"


_MACHINE_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _is_machine_id(text: str | None) -> bool:
    """Tell an id from the word that images carry before their first start."""
    return text is not None and re.fullmatch("[0-9a-fA-F]{32}", text) is not None


def _kept_host_id(path: Path) -> UUID:
    kept = _first_line(path)
    if kept is None:
        try:
            _keep(path, f"{uuid4()}\n")
        except OSError as error:
            raise ConfigError(
                f"cannot keep this machine's id in {path}: {error.strerror}",
                key="daemon.host_id",
                source=str(path),
                hint=f"set {HOST_VARIABLE} or daemon.host_id to a UUID",
            ) from error
        kept = _first_line(path)
    try:
        return UUID(kept)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{path} does not hold a UUID", key="daemon.host_id", source=str(path), hint="delete the file"
        ) from error


def _keep(path: Path, text: str) -> None:
    """Write a file whole, unless another process was first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    drawn = path.with_name(f"{path.name}.{uuid4().hex}")
    drawn.write_text(text)
    try:
        path.hardlink_to(drawn)
    except FileExistsError:
        pass
    finally:
        drawn.unlink()


def default_config_path() -> Path:
    """Return where the configuration file is looked for when nothing names one."""
    return Path(platformdirs.user_config_path("sessiond")) / "config.toml"


def load(
    path: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> Config:
    """Read the configuration.

    Args:
        path: The file an option named; it must exist. None looks at the environment and the usual place.
        environ: The environment; the process's own for None.
        overrides: Values from options, by section; they win over everything.

    Raises:
        ConfigError: The file cannot be read or used; names file, key and what is allowed.
    """
    environ = os.environ if environ is None else environ
    named = path or (_named(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    chosen = named or default_config_path()
    values: dict[str, Any] = {}
    source = "the defaults"
    origins: dict[str, str] = {}
    if named is not None or chosen.exists():
        values = _read(chosen)
        source = str(chosen)
        _refuse_bare_sections(values, source)
    for section, key, variable in (
        ("database", "url", DATABASE_VARIABLE),
        ("daemon", "state_dir", STATE_VARIABLE),
        ("daemon", "host_id", HOST_VARIABLE),
    ):
        if environ.get(variable):
            values.setdefault(section, {})[key] = environ[variable]
            origins[f"{section}.{key}"] = variable
    for section, settings in (overrides or {}).items():
        values.setdefault(section, {}).update(settings)
        for key in settings:
            origins.pop(f"{section}.{key}", None)
    return _validated(values, source, origins)


def _named(text: str) -> Path:
    try:
        return _expanded(Path(text))
    except ValueError as error:
        raise ConfigError(str(error), source=CONFIG_VARIABLE) from error


def _refuse_bare_sections(values: Mapping[str, Any], source: str) -> None:
    for name in set(values) & set(Config.model_fields) - {"source"}:
        if not isinstance(values[name], dict):
            raise ConfigError(f"{source}: {name}: must be a table, [{name}]", key=name, source=source)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(
            f"cannot read the configuration {path}: {reason}",
            source=str(path),
            hint="mend the file, or name another with --config",
        ) from error


def _validated(values: dict[str, Any], source: str, origins: Mapping[str, str]) -> Config:
    """Return the configuration; `origins` names the variables that single values came from."""
    if "source" in values:
        raise _unknown("source", source, list(Config.model_fields))
    try:
        return Config.model_validate(values | {"source": source})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise _unknown(key, source, _siblings(first["loc"])) from None
        origin = origins.get(key, source)
        raise ConfigError(f"{origin}: {key}: {first['msg']}", key=key, source=origin) from None


def _siblings(place: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Config
    for part in place[:-1]:
        kind = model.model_fields[str(part)].annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            model = kind
    return [name for name in model.model_fields if name != "source"]


def _unknown(key: str, source: str, allowed: list[str]) -> ConfigError:
    from difflib import get_close_matches  # noqa: PLC0415 - only needed for this message

    close = get_close_matches(key.rsplit(".", 1)[-1], allowed, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]}?" if close else f"allowed here: {', '.join(sorted(allowed))}"
    return ConfigError(f"{source}: unknown key {key}", key=key, source=source, hint=hint)


def refuse_password(url: str) -> None:
    """Refuse a URL with a password that was given on the command line, where every user can see it.

    Raises:
        ConfigError: It has one.
    """
    # As SQLAlchemy splits it: a password may hold what would end another URL's host.
    if re.search(r"://[^:/]*:[^@]+@|[?&][a-z]*password=", url, re.IGNORECASE):
        raise ConfigError(
            "a password on the command line can be read by every user of this machine",
            key="database.url",
            source="--database",
            hint=f"put the URL into {DATABASE_VARIABLE}, or the password into ~/.pgpass",
        )
