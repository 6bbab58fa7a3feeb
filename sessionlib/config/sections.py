"""The sections of the configuration: every key with its type, its limits and its default.

What a key is for and why one would change it stands in ``config.example.toml``.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationInfo

from sessionlib.locations import absolute


class Unit(NamedTuple):
    """What a number counts, for messages."""

    name: str


class Address(NamedTuple):
    """Where the loopback listener listens; a host of IPv6 is without its brackets."""

    host: str
    port: int


_LISTEN = re.compile(r"(127\.0\.0\.1|\[::1\]|localhost):([0-9]{1,5})", re.ASCII)
_ORIGIN = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:]+\])(?::([0-9]{1,5}))?", re.ASCII)
_USUAL_PORTS = {"http": "80", "https": "443"}
_PORT_MOST = 65535
_NAME_MOST, _PATH_MOST = 255, 4000
_MODEL_MOST = 200


def _path_text(value: object) -> object:
    if isinstance(value, str) and (not value or "\0" in value):
        message = "must be a path, and not an empty one; leave the key out for its default"
        raise ValueError(message)
    if isinstance(value, str) and "://" in value:
        # Not repeated in the message: a URL may hold a password.
        message = "must be a path, not a URL"
        raise ValueError(message)
    if isinstance(value, str | Path) and _is_too_long(os.fspath(value)):
        message = f"must be a path whose names have at most {_NAME_MOST} bytes, and {_PATH_MOST} in all"
        raise ValueError(message)
    return value


def _is_too_long(path: str) -> bool:
    written = path.encode(errors="surrogatepass")
    return len(written) > _PATH_MOST or any(len(name) > _NAME_MOST for name in written.split(b"/"))


def _folder(path: Path, info: ValidationInfo) -> Path:
    start = getattr(info.context, "folder", None)
    try:
        return absolute(path if start is None else start / path.expanduser())
    except RuntimeError as error:
        message = f"there is no home folder for {str(path)!r}"
        raise ValueError(message) from error


def _relative(text: str) -> str:
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if text.startswith(("/", "~")) or ".." in parts or not parts or "\0" in text:
        message = f"must be a path inside the project, such as 'agents/sessions', not {text[:60]!r}"
        raise ValueError(message)
    return text


def _one_line(text: str) -> str:
    # Not repeated in the message: a URL may hold a password.
    if not text.isprintable():
        message = "must be one line without control characters"
        raise ValueError(message)
    return text


def _loopback(text: str) -> str:
    found = _LISTEN.fullmatch(text)
    if text and (found is None or not 1 <= int(found[2]) <= _PORT_MOST):
        message = (
            "must be 127.0.0.1:PORT, [::1]:PORT or localhost:PORT with a port from 1 to 65535, not "
            f"{text[:60]!r}: only programs on this machine may ask the daemon"
        )
        raise ValueError(message)
    return text


def _web_origin(text: str) -> str:
    if text == "*":
        message = "must name each origin: with '*' every web page could ask the daemon"
        raise ValueError(message)
    found = _ORIGIN.fullmatch(text)
    usual = found is not None and found[3] == _USUAL_PORTS[found[1]]
    if found is None or usual or int(found[3] or 1) > _PORT_MOST:
        message = (
            "must be an origin as a browser sends it, such as 'http://localhost:3000' (lower case, no path, "
            f"no slash at the end, no port where it is the usual one), not {text[:60]!r}"
        )
        raise ValueError(message)
    return text


def _model_name(text: str) -> str:
    if not 1 <= len(text) <= _MODEL_MOST or not text.isprintable() or " " in text:
        message = f"must be the name of a model, of at most {_MODEL_MOST} characters without spaces"
        raise ValueError(message)
    return text


FolderPath = Annotated[Path, BeforeValidator(_path_text), AfterValidator(_folder)]
Place = Annotated[str, Strict(), AfterValidator(_relative)]
Origin = Annotated[str, Strict(), AfterValidator(_web_origin)]
Seconds = Annotated[float, Strict(), Unit("seconds")]
Price = Annotated[float, Strict(), Field(ge=0, le=100_000), Unit("USD")]
ModelName = Annotated[str, Strict(), AfterValidator(_model_name)]
Number = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]


class Section(BaseModel):
    """What all sections share: frozen, no other keys, and no value in the text of an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class ModelPrice(Section):
    """What one model costs, instead of what the table of prices says.

    Attributes:
        input: USD for a million tokens that were neither read from the cache nor written to it.
        output: USD for a million tokens of the answer.
        cache_read: USD for a million tokens read from the cache.
        cache_write_5m: The same written for five minutes; None is 1.25 times `input`.
        cache_write_1h: The same written for an hour; None is twice `input`.
        web_search: USD for one search; with None an answer that has searched has no price.
    """

    input: Price
    output: Price
    cache_read: Price
    cache_write_5m: Price | None = None
    cache_write_1h: Price | None = None
    web_search: Price | None = None


class WatchConfig(Section):
    """What is watched, and how soon a change is seen."""

    roots: tuple[FolderPath, ...] = ()
    sessions_dirs: tuple[Place, ...] = (
        "agents/sessions",
        "apps/*/agents/sessions",
        "packages/*/agents/sessions",
    )
    depth: Annotated[Number, Unit("folders")] = Field(default=4, ge=0, le=32)
    force_polling: Flag = False
    poll_interval: Seconds = Field(default=2.0, ge=0.1, le=3600)
    quiet: Seconds = Field(default=0.05, ge=0, le=60)
    longest_delay: Seconds = Field(default=0.5, ge=0, le=600)
    reconcile_interval: Seconds = Field(default=60.0, ge=1, le=86400)


class DatabaseConfig(Section):
    """Where the mirror is kept; an empty URL means SQLite in the state folder.

    `load` reads `url_file` and puts what it says into `url`.
    """

    url: Annotated[str, Strict(), AfterValidator(_one_line)] = Field(default="", repr=False)
    url_file: FolderPath | None = None
    pgbouncer: Flag = False


class SyncConfig(Section):
    """The sync queue. With `workers` 0, SQLite, which has one writer, gets three and PostgreSQL four."""

    workers: Annotated[Number, Unit("threads")] = Field(default=0, ge=0, le=64)
    attempts: Annotated[Number, Unit("tries")] = Field(default=6, ge=1, le=100)
    first_delay: Seconds = Field(default=0.1, gt=0, le=60)
    longest_delay: Seconds = Field(default=5.0, gt=0, le=3600)
    read_ahead: Flag = True


class TrackingConfig(Section):
    """What is read of the agents' own journals: the hook spool, the clients' transcripts and telemetry.

    Without `client_folders` it is the usual folder of each client.
    """

    hooks: Flag = True
    transcripts: Flag = True
    telemetry: Flag = False
    client_folders: tuple[FolderPath, ...] = ()
    abandon_after: Seconds = Field(default=21600.0, ge=60, le=604_800)
    bodies: Flag = False
    body_most: Annotated[Number, Unit("characters")] = Field(default=16_384, ge=1, le=500_000)
    log_days: Annotated[Number, Unit("days")] = Field(default=0, ge=0, le=36_500)


class ControlConfig(Section):
    """Who may ask the daemon, beside its user over the Unix socket."""

    listen: Annotated[str, Strict(), AfterValidator(_loopback)] = ""
    token_file: FolderPath | None = None
    origins: tuple[Origin, ...] = ()
    clients: Annotated[Number, Unit("connections")] = Field(default=64, ge=1, le=1024)
    request_timeout: Seconds = Field(default=5.0, ge=0.1, le=600)

    @property
    def address(self) -> Address | None:
        """`listen`, split; None when there is no such listener."""
        host, _, port = self.listen.rpartition(":")
        return Address(host.strip("[]"), int(port)) if port else None


class LogConfig(Section):
    """What is logged, in which form, and where."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["logfmt", "json"] = "logfmt"
    file: FolderPath | None = None


class DaemonConfig(Section):
    """The process itself."""

    state_dir: FolderPath | None = None
    runtime_dir: FolderPath | None = None
    drain_deadline: Seconds = Field(default=20.0, ge=0, le=3600)
    stale_after: Seconds = Field(default=10.0, ge=0.1, le=86400)
    stuck_after: Seconds = Field(default=120.0, ge=1, le=86400)
    host_id: UUID | None = None
