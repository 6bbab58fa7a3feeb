"""Where a session lies, in the words of both sides."""

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from uuid import UUID, uuid5

_ESCAPED = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")


def stored_name(name: str) -> str:
    r"""Return a file name or path as text that a database takes; `real_name` is the way back.

    Bytes that are not UTF-8 arrive from the operating system as lone surrogates, which no database stores;
    they become ``\xff`` escapes. A backslash is doubled, so that no two names are stored alike. All other
    names stay as they are.
    """
    if name.isascii() and "\\" not in name:
        return name
    return os.fsencode(name.replace("\\", "\\\\")).decode("utf-8", "backslashreplace")


def real_name(stored: str) -> str:
    """Return the file name or path that was stored, as the operating system takes it."""
    if "\\" not in stored:
        return stored
    return os.fsdecode(_ESCAPED.sub(_unescaped, stored.encode()))


def _unescaped(match: re.Match[bytes]) -> bytes:
    digits: bytes | None = match[1]
    return b"\\" if digits is None else bytes.fromhex(digits.decode())


@dataclass(frozen=True, slots=True)
class Place:
    """One sessions root of one workspace.

    Attributes:
        project_id: The project the workspace belongs to.
        workspace_id: The workspace.
        workspace_path: Its folder, absolute.
        root: The sessions folder relative to it, with forward slashes, as stored.
        path: The sessions folder, absolute.
    """

    project_id: UUID
    workspace_id: UUID
    workspace_path: Path
    root: str
    path: Path

    def session_id(self, slug: str) -> UUID:
        """Return the id of the session with this folder name, the same in every workspace of the project."""
        return _session_id(self.project_id, f"{self.root}/{stored_name(slug)}")


@lru_cache(maxsize=1024)
def _session_id(project_id: UUID, key: str) -> UUID:
    """Derive an id; kept, because one sync asks for it several times."""
    return uuid5(project_id, key)
