"""The definition's file: read, compared, written whole, removed. Nothing of others is touched."""

import difflib
from pathlib import Path

from sessionlib.cli import placing
from sessionlib.cli.service.definitions import is_ours
from sessionlib.cli.service.runner import ServiceError


def read(path: Path) -> str | None:
    """Return what a definition says, None where there is none.

    Raises:
        ServiceError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return "" if path.is_symlink() else None
    except OSError as error:
        raise _refused("read", path, error) from error


def is_foreign(path: Path) -> bool:
    """Tell whether a file is there that we did not write; a link is always somebody else's."""
    text = read(path)
    return text is not None and (path.is_symlink() or not is_ours(text))


def difference(path: Path, old: str, new: str) -> list[str]:
    """Return a unified diff, line by line; empty for equal texts."""
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), str(path), f"{path} (new)", lineterm="", n=1
    )
    return list(lines)


def write(path: Path, text: str) -> None:
    """Put a file in place whole, mode 0644 as the service managers want it; folders are made as needed.

    Raises:
        ServiceError: The operating system refuses it; what was there is untouched.
    """
    try:
        placing.put(path, text.encode("utf-8", "surrogateescape"), mode=0o644)
    except OSError as error:
        raise _refused("write", path, error) from error


def remove(path: Path) -> None:
    """Remove a file that we wrote; one that is gone is no error.

    Raises:
        ServiceError: It is not ours, or the operating system refuses.
    """
    if is_foreign(path):
        raise ServiceError(
            f"{path} was not written by `sessionctl service install`; it stays",
            hint="remove it yourself if it is not needed",
        )
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _refused("remove", path, error) from error


def _refused(what: str, path: Path, error: OSError) -> ServiceError:
    denied = isinstance(error, PermissionError)
    return ServiceError(
        f"cannot {what} {path}: {error.strerror}", hint="run it with sudo" if denied else None
    )
