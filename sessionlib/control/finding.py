"""Where the daemon that is meant listens: by option, variable, configuration, status file, or as usual.

Plain text and few imports, like `protocol`. Only the two folders are read from the configuration; whether the
rest of it can be used is not our concern.
"""

from __future__ import annotations

import os
import stat

from sessionlib import locations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

START_HINT = "start it: `sessiond run ROOT`, or `sessionctl service start`"

_KEYS = ("state_dir", "runtime_dir")
_CONFIG_MOST = 1024 * 1024
_STATUS_MOST = 64 * 1024 * 1024


class Unreadable(Exception):  # noqa: N818 - becomes a ConfigError where errors may be imported
    """The configuration that would say where the daemon is cannot be read.

    Args:
        path: The file.
        reason: Why.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot read the configuration {path}: {reason}")
        self.path = path
        self.reason = reason


class Place:
    """Where one daemon is: its socket, and the file with its last words.

    Attributes:
        socket: Path of the control socket; something need not be there.
        status_file: Path of the status file.
        last: The status file's content; None when it is not there or cannot be used.
        trouble: Why the status file cannot be used, if it is there.
    """

    __slots__ = ("last", "socket", "status_file", "trouble")

    def __init__(self, socket: str, status_file: str, last: dict[str, object] | None, trouble: str) -> None:
        self.socket = socket
        self.status_file = status_file
        self.last = last
        self.trouble = trouble


def find(
    state_dir: str | None = None,
    runtime_dir: str | None = None,
    config: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Place:
    """Return where the daemon is.

    Args:
        state_dir: What an option said.
        runtime_dir: What an option said.
        config: The configuration file an option named.
        environ: The environment; the process's own for None.

    Raises:
        Unreadable: A configuration file is named, or lies in the usual place, and cannot be read; or there is
            no home folder.
    """
    environ = os.environ if environ is None else environ
    try:
        state_dir = state_dir or environ.get(locations.STATE_VARIABLE) or None
        runtime_dir = runtime_dir or environ.get(locations.RUNTIME_VARIABLE) or None
        if not (state_dir and runtime_dir):
            named = config or environ.get(locations.CONFIG_VARIABLE) or None
            configured = _configured(named, environ, _absolute(state_dir), _absolute(runtime_dir))
            state_dir = state_dir or configured.get("state_dir")
            runtime_dir = runtime_dir or configured.get("runtime_dir")
        state, runtime = locations.folders(_absolute(state_dir), _absolute(runtime_dir), environ)
    except RuntimeError as error:
        raise Unreadable("", str(error)) from error
    status_file = f"{state}/{locations.STATUS_NAME}"
    last, trouble = _last_words(status_file)
    socket = f"{runtime}/{locations.SOCKET_NAME}"
    if runtime_dir is None and last is not None:
        told = last.get("socket")
        if isinstance(told, str) and told.startswith("/") and (_is_socket(told) or not _is_socket(socket)):
            socket = told
    return Place(socket, status_file, last, trouble)


def _absolute(path: str | None) -> str | None:
    return None if path is None else locations.absolute_text(path)


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)  # noqa: PTH116 - without pathlib
    except (OSError, ValueError):
        return False


def _configured(
    named: str | None, environ: Mapping[str, str], state_dir: str | None, runtime_dir: str | None
) -> dict[str, str]:
    """Return the folders that the configuration names.

    A daemon goes on with the settings it has when somebody breaks the file. In that case, of all, it must be
    found: what listens in the usual place is it, unless the file was named, and may mean another.
    """
    try:
        return _read(named, environ)
    except Unreadable:
        _, usual = locations.folders(state_dir, runtime_dir, environ)
        if named is None and _is_socket(f"{usual}/{locations.SOCKET_NAME}"):
            return {}
        raise


def _read(named: str | None, environ: Mapping[str, str]) -> dict[str, str]:
    path = locations.default_config_text(environ) if named is None else locations.absolute_text(named)
    try:
        text = _content(path)
    except FileNotFoundError:
        if named is None:
            return {}
        raise Unreadable(path, "No such file or directory") from None
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error)) from error
    except ValueError:
        raise Unreadable(path, "its name holds a NUL character") from None
    if not _mentions(text):
        return {}
    return _parsed(path, text)


def _content(path: str) -> bytes:
    """Return what a configuration file holds; never waits for a pipe, as `config.files` does not."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISCHR(mode)):
            raise Unreadable(path, f"it is a {'folder' if stat.S_ISDIR(mode) else 'pipe'}, not a file")
        text = b""
        while part := os.read(descriptor, 65_536):
            text += part
            if len(text) > _CONFIG_MOST:
                raise Unreadable(path, f"it is larger than {_CONFIG_MOST // 1024} KiB")
        return text
    finally:
        os.close(descriptor)


def _mentions(text: bytes) -> bool:
    """Tell whether a file may set one of the folders; most do not, and the parser takes 10 ms to import.

    A quoted key may be spelled with escapes, so a file with any is parsed.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith(b"#")]
    return any(key.encode() in line for key in _KEYS for line in lines) or any(
        b"\\" in line for line in lines
    )


def _parsed(path: str, text: bytes) -> dict[str, str]:
    import tomllib  # noqa: PLC0415 - see `_mentions`

    try:
        daemon = tomllib.loads(text.decode("utf-8-sig")).get("daemon", {})
    except UnicodeDecodeError as error:
        raise Unreadable(path, f"it is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise Unreadable(path, "it is nested too deeply") from None
    except ValueError as error:
        raise Unreadable(path, str(error)) from error
    if not isinstance(daemon, dict):
        raise Unreadable(path, "daemon: must be a table, [daemon]")
    named = {key: daemon[key] for key in _KEYS if isinstance(daemon.get(key), str) and daemon[key]}
    for key, folder in named.items():
        try:
            _absolute(folder)
        except RuntimeError as error:
            raise Unreadable(path, f"daemon.{key}: {error}") from error
    return named


def _last_words(path: str) -> tuple[dict[str, object] | None, str]:
    import json  # noqa: PLC0415 - not every caller comes here

    try:
        # What is no plain file may never say anything: a pipe, for one, waits for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None, "it is no file"
            tree = json.loads(file.read(_STATUS_MOST))
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, error.strerror or str(error)
    except (ValueError, RecursionError):
        return None, "it is no JSON"
    if not isinstance(tree, dict):
        return None, "it is no JSON object"
    return tree, ""
