"""Which machine this is: an id that is the same each time, and a name for people."""

import re
import socket
from pathlib import Path
from uuid import UUID, uuid4

from sessionlib.config.files import keep
from sessionlib.errors import ConfigError

HOST_VARIABLE = "SESSIOND_HOST_ID"

MACHINE_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


def host_id(state_dir: Path) -> UUID:
    """Return an id derived from the machine's own, or one that is drawn once and kept in the state folder.

    Raises:
        ConfigError: The machine has none and the state folder cannot be written.
    """
    machine = next(filter(_is_machine_id, map(_first_line, MACHINE_IDS)), None)
    if machine is None:
        return _kept(state_dir / "host-id")
    from sessionlib.models.base import derived_id  # noqa: PLC0415 - the models take longer than all of this

    # Derived, never shown: systemd asks that the machine's own id stays on it.
    return derived_id("host", machine)


def host_name() -> str:
    """Return this machine's name, for people."""
    return socket.gethostname() or "localhost"


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _is_machine_id(text: str | None) -> bool:
    """Tell an id from the word that images carry before their first start."""
    return text is not None and re.fullmatch("[0-9a-fA-F]{32}", text) is not None


def _kept(path: Path) -> UUID:
    kept = _first_line(path)
    if kept is None:
        try:
            keep(path, f"{uuid4()}\n")
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
