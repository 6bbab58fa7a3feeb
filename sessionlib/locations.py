"""Where a daemon keeps its files and listens. Standard library only, because `sessionctl status` starts fast.

One state folder is one daemon. Its runtime folder holds the control socket: a folder of the user's own in
``$XDG_RUNTIME_DIR``, or one below the state folder when that is not the usual one or there is no such
variable. The daemon's status file names the socket it really uses, so a client that sees other
variables finds it too.

`folders` chooses in plain text, and everything else is built on it: `pathlib`, `typing` and `dataclasses`
take longer to import than a daemon takes to answer, so `sessionctl status` does without them.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG_VARIABLE = "SESSIOND_CONFIG"
STATE_VARIABLE = "SESSIOND_STATE_DIR"
RUNTIME_VARIABLE = "SESSIOND_RUNTIME_DIR"

SOCKET_NAME = "control.sock"
STATUS_NAME = "status.json"
LOCK_NAME = "sessiond.lock"
LOG_NAME = "sessiond.log"
SPOOL_NAME = "spool"
TOKEN_NAME = "control-token"  # noqa: S105 - a file's name

SOCKET_PATH_MOST = 103 if sys.platform == "darwin" else 107
"""Bytes of a Unix socket's path: what the kernel's sockaddr_un holds without its final NUL."""


class Locations:
    """The folders of one daemon, absolute, and the files in them. Equal when both folders are; never changed.

    Args:
        state_dir: Holds the database, the lock, the status file and the log.
        runtime_dir: Holds the control socket.
    """

    __slots__ = ("runtime_dir", "state_dir")

    def __init__(self, state_dir: Path, runtime_dir: Path) -> None:
        self.state_dir = state_dir
        self.runtime_dir = runtime_dir

    # The decorator `override` would cost the import that this module avoids.
    def __eq__(self, other: object) -> bool:  # type: ignore[explicit-override]
        if not isinstance(other, Locations):
            return NotImplemented
        return (self.state_dir, self.runtime_dir) == (other.state_dir, other.runtime_dir)

    def __hash__(self) -> int:  # type: ignore[explicit-override]
        return hash((self.state_dir, self.runtime_dir))

    def __repr__(self) -> str:  # type: ignore[explicit-override]
        return f"Locations(state_dir={self.state_dir!r}, runtime_dir={self.runtime_dir!r})"

    @property
    def socket(self) -> Path:
        """The control socket."""
        return self.runtime_dir / SOCKET_NAME

    @property
    def status_file(self) -> Path:
        """What the daemon last said about itself; it outlives the process."""
        return self.state_dir / STATUS_NAME

    @property
    def lock_file(self) -> Path:
        """Locked while a daemon runs; holds its process id, for people."""
        return self.state_dir / LOCK_NAME

    @property
    def log_file(self) -> Path:
        """Where a detached daemon logs unless another file is configured."""
        return self.state_dir / LOG_NAME

    @property
    def spool(self) -> Path:
        """Where hooks of coding clients leave what they are told, for the daemon to take."""
        return self.state_dir / SPOOL_NAME

    @property
    def token_file(self) -> Path:
        """The token of the loopback listener, drawn at its first start unless one is configured."""
        return self.state_dir / TOKEN_NAME


def absolute(path: Path | str) -> Path:
    """Return a path with ``~`` expanded and made absolute, links as they are.

    Raises:
        RuntimeError: There is no home folder.
    """
    from pathlib import Path  # noqa: PLC0415 - see the module's docstring

    return Path(absolute_text(path))


def absolute_text(path: Path | str) -> str:
    """Return what `absolute` does, as text.

    Raises:
        RuntimeError: There is no home folder.
    """
    expanded = os.path.expanduser(path)  # noqa: PTH111
    if expanded.startswith("~"):
        raise RuntimeError(f"there is no home folder for {path}")
    return os.path.abspath(expanded)  # noqa: PTH100 - resolve() would follow links


def locate(
    state_dir: Path | None = None,
    runtime_dir: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Locations:
    """Return the folders: those given (already absolute), else by the XDG variables, else the usual ones.

    The caller has looked at options, environment and file in their order; only defaults are chosen here.

    Raises:
        RuntimeError: No state folder is given, and there is no home folder to put it in.
    """
    from pathlib import Path  # noqa: PLC0415 - see the module's docstring

    state, runtime = folders(_text(state_dir), _text(runtime_dir), environ)
    return Locations(Path(state), Path(runtime))


def folders(
    state_dir: str | None = None,
    runtime_dir: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[str, str]:
    """Return what `locate` does, as text: the state folder and the runtime folder.

    Raises:
        RuntimeError: No state folder is given, and there is no home folder to put it in.
    """
    environ = os.environ if environ is None else environ
    if state_dir is None or runtime_dir is None:
        try:
            usual = f"{_base(environ, 'XDG_STATE_HOME', '.local/state')}/sessiond"
        except RuntimeError:
            # Somebody without a home folder, as in many containers, can still be told where to keep it all.
            if state_dir is None:
                raise
            usual = ""
        state_dir = state_dir or usual
        base = environ.get("XDG_RUNTIME_DIR", "")
        own = state_dir == usual and base.startswith("/")
        runtime_dir = runtime_dir or (f"{os.path.normpath(base)}/sessiond" if own else f"{state_dir}/run")
    return state_dir, runtime_dir


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def default_config_path(environ: Mapping[str, str] | None = None) -> Path:
    """Return where the configuration file is looked for when nothing names one.

    Raises:
        RuntimeError: There is no home folder.
    """
    from pathlib import Path  # noqa: PLC0415 - see the module's docstring

    return Path(default_config_text(environ))


def default_config_text(environ: Mapping[str, str] | None = None) -> str:
    """Return what `default_config_path` does, as text.

    Raises:
        RuntimeError: There is no home folder.
    """
    environ = os.environ if environ is None else environ
    return f"{_base(environ, 'XDG_CONFIG_HOME', '.config')}/sessiond/config.toml"


def _base(environ: Mapping[str, str], variable: str, below_home: str) -> str:
    named = environ.get(variable, "")
    # The XDG specification asks that a relative path be ignored.
    if named.startswith("/"):
        return os.path.normpath(named)
    home = absolute_text("~")
    return f"{home}/Library/Application Support" if sys.platform == "darwin" else f"{home}/{below_home}"
