"""Small files with one setting, a secret or a drawn id in them: read without trust, written whole."""

import codecs
import os
import stat
from pathlib import Path
from uuid import uuid4

_CONFIG_MOST = 1_048_576
_SECRET_MOST = 65_536

_KINDS = {
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "device",
}


class UnfitFileError(Exception):
    """A file cannot be used; the text says why, without its name and without anything of its content."""


class NoFileError(UnfitFileError):
    """There is no such file."""


def read_config(path: Path) -> tuple[str, os.stat_result]:
    """Return the text of a configuration file and what it is; never waits for a pipe.

    Raises:
        UnfitFileError: It cannot be read, or is not UTF-8.
    """
    content, seen = _read(path, _CONFIG_MOST)
    return _decoded(content), seen


def read_secret(path: Path, *, private: bool = True, first_line: bool = False) -> str:
    """Return the one line a file holds, without the spaces around it; never waits for a pipe.

    Args:
        path: The file.
        private: Refuse it unless it is ours alone. Not for credentials: the service manager keeps them.
        first_line: Take its first line and leave the rest alone, instead of refusing further lines.

    Raises:
        UnfitFileError: It cannot be read, holds something else, or others can read it.
    """
    content, seen = _read(path, _SECRET_MOST)
    if private and (reason := exposed(seen, path)):
        raise UnfitFileError(reason)
    lines = _decoded(content).strip("\ufeff \t\r\n").splitlines()
    if not lines:
        raise UnfitFileError("it is empty")
    if len(lines) > 1 and not first_line:
        raise UnfitFileError("it holds more than one line")
    return lines[0].strip()


def exposed(seen: os.stat_result, path: Path) -> str | None:
    """Return why a file is not private, and the way to make it so; None when it is."""
    mode = stat.S_IMODE(seen.st_mode)
    if mode & 0o077:
        return f"it may be used by others (mode {mode:04o}): chmod 600 {path}"
    if seen.st_uid not in {0, os.geteuid()}:
        return f"it belongs to another user (uid {seen.st_uid}): chown it to the user that runs this"
    return None


def keep(path: Path, text: str) -> None:
    """Write a file whole and private (0600), unless another process was first.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    drawn = path.with_name(f"{path.name}.{uuid4().hex}")
    descriptor = os.open(drawn, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        path.hardlink_to(drawn)
    except FileExistsError:
        pass
    finally:
        drawn.unlink()


def _read(path: Path, most: int) -> tuple[bytes, os.stat_result]:
    try:
        # Non-blocking: to open a pipe that nobody writes into would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            seen = os.fstat(descriptor)
            if kind := _KINDS.get(stat.S_IFMT(seen.st_mode)):
                raise UnfitFileError(f"it is a {kind}, not a file")
            content = _all_of(descriptor, most)
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoFileError(error.strerror) from None
    except OSError as error:
        raise UnfitFileError(error.strerror or str(error)) from None
    except ValueError:
        raise UnfitFileError("its name holds a NUL character") from None
    return content, seen


def _all_of(descriptor: int, most: int) -> bytes:
    content = b""
    while chunk := os.read(descriptor, 65_536):
        content += chunk
        if len(content) > most:
            raise UnfitFileError(f"it is larger than {most // 1024} KiB")
    return content


def _decoded(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UnfitFileError("it is written in UTF-16; save it as UTF-8")
    try:
        # With or without the mark that editors of other systems put in front.
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Not the error's own words: they would carry the content along.
        raise UnfitFileError(f"it is not UTF-8 (byte {error.start})") from None
