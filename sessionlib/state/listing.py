"""The sessions of one sessions root: a list that is either complete or says that it is not.

To take "I could not read" for "it is gone" would wipe a mirror. So each refusal of the operating system is
named, and leaves `Listing.complete` false.
"""
# Os calls with string paths: this is the path walked for every session at every reconcile.
# ruff: noqa: PTH116, PTH208

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from sessionlib.errors import StateNotFoundError
from sessionlib.state.beneath import LINK_ERRNOS, open_beneath
from sessionlib.state.looks import ABSENT_ERRORS, Look, is_unchanged, look_at, signed64

_NOTHING_KNOWN: Mapping[str, Look] = MappingProxyType({})
WHOLE_ROOT = "."


@dataclass(frozen=True, slots=True)
class Listing:
    """What one pass over a sessions root has seen.

    Attributes:
        sessions: The look at each session, by its folder's name; of one that has not changed it is the very
            object that was known. Names may hold lone surrogates (bytes that are not UTF-8, see
            ``os.fsdecode``); escape them before they go into a database or a log.
        pending: Folders that have no state.json yet.
        complete: Whether all there is was seen; only then does absence mean anything.
        problems: (folder name, or ``.`` for the root; what the operating system said).
        identity: (device, inode) of the root folder, signed 64 bit; None when it could not be asked.
    """

    sessions: dict[str, Look]
    pending: tuple[str, ...]
    complete: bool
    problems: tuple[tuple[str, str], ...]
    identity: tuple[int, int] | None

    @property
    def is_whole(self) -> bool:
        """Whether all folders are known by name, if not all could be looked at."""
        return self.complete or not any(name == WHOLE_ROOT for name, _ in self.problems)

    def looks_unmounted(self, dev: int, count: int) -> bool:
        """Tell whether an empty folder of another file system stands where so many sessions were.

        Args:
            dev: The device they were on.
            count: How many there were.
        """
        if self.sessions or self.pending or self.identity is None:
            return False
        return count > 0 and self.identity[0] != dev


def list_sessions(
    root_dir: Path, known: Mapping[str, Look] = _NOTHING_KNOWN, *, beneath: Path | None = None
) -> Listing:
    """Look at every session of a root: its direct subfolders, without links and dot-folders.

    Args:
        root_dir: The sessions root.
        known: The looks stored last time, by folder name; with them a quiet session costs two stats.
        beneath: A folder above the root, below which nothing on the way to it may be a link; None lets links
            lead to it.

    Raises:
        StateNotFoundError: The root is not there, is no folder, or lies behind a link.
    """
    root = os.fspath(root_dir)
    sessions: dict[str, Look] = {}
    pending: list[str] = []
    problems: list[tuple[str, str]] = []
    identity: tuple[int, int] | None = None
    try:
        identity = _identity(root)
        if beneath is not None:
            os.close(open_beneath(os.fspath(beneath), root))
        for name in _names(root):
            folder = f"{root}/{name}"
            was = known.get(name)
            try:
                seen = was if was is not None and is_unchanged(folder, was) else look_at(folder, was)
            except ABSENT_ERRORS:
                continue  # gone since it was listed, a link or no folder
            except OSError as error:
                problems.append((name, error.strerror or str(error)))
                continue
            if seen is None:
                pending.append(name)
            else:
                sessions[name] = seen
        if _identity(root) != identity:
            problems.append((WHOLE_ROOT, "was replaced while it was listed"))
    except OSError as error:
        if isinstance(error, FileNotFoundError) or error.errno in LINK_ERRNOS:
            message = f"no sessions folder at {root_dir}"
            raise StateNotFoundError(message, session_dir=Path(root_dir)) from error
        problems.append((WHOLE_ROOT, error.strerror or str(error)))
    return Listing(sessions, tuple(pending), not problems, tuple(problems), identity)


def _identity(root: str) -> tuple[int, int]:
    result = os.stat(root)
    return signed64(result.st_dev), signed64(result.st_ino)


def _names(root: str) -> list[str]:
    """Return what may be a session's folder, by its name; looking at it will tell whether it is a folder."""
    return sorted(name for name in os.listdir(root) if not name.startswith("."))
