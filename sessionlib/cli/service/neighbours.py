"""Where definitions of the service may lie, and who runs a daemon on a state folder already."""

import fcntl
import os
from pathlib import Path

from sessionlib import locations
from sessionlib.cli.service.definitions import LABEL, UNIT

SYSTEM_UNITS = Path("/etc/systemd/system")
WITHOUT_MANAGER = "start the daemon without one: sessiond run --detach"

SHIPPED_UNITS = (
    SYSTEM_UNITS,
    Path("/usr/local/lib/systemd/system"),
    Path("/usr/lib/systemd/system"),
    Path("/etc/systemd/user"),
    Path("/usr/local/lib/systemd/user"),
    Path("/usr/lib/systemd/user"),
)
SHARED_AGENTS = (Path("/Library/LaunchAgents"), Path("/Library/LaunchDaemons"))
_PID_MOST = 32


def user_units() -> Path:
    """Return the folder of the user's own units."""
    base = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".config") / "systemd" / "user"


def user_agents() -> Path:
    """Return the folder of the user's own launch agents."""
    return Path.home() / "Library" / "LaunchAgents"


def other_definitions(own: Path) -> list[Path]:
    """Return the definitions of the service besides the one at `own`."""
    candidates = [folder / UNIT for folder in (user_units(), SYSTEM_UNITS, *SHIPPED_UNITS)]
    candidates += [folder / f"{LABEL}.plist" for folder in (user_agents(), *SHARED_AGENTS)]
    return [path for path in dict.fromkeys(candidates) if path != own and os.path.lexists(path)]


def holder(state_dir: Path) -> int | None:
    """Return the process that runs a daemon on a state folder; None without one, or when it cannot be told.

    The lock is the truth. It is only tried when the noted process exists, because a daemon that starts while
    we hold it, for some microseconds, would take us for another.
    """
    path = locations.Locations(state_dir, state_dir).lock_file
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        noted = os.read(descriptor, _PID_MOST).strip()
        pid = int(noted) if noted.isdigit() else 0
        return pid if pid and _exists(pid) and _is_locked(descriptor) else None
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
