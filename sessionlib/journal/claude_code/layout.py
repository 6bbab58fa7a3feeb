"""Where Claude Code's transcripts lie, in every layout that is still found on disks.

``projects/<folder>/<conversation>.jsonl`` is a conversation's own file. Its agents' files lie below
``<conversation>/subagents/``, each with a small ``.meta.json``; clients before 2.1.20 put them beside it, as
``agent-<id>.jsonl``, where only their lines say whose they are; the oldest had none.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sessionlib.journal.facts import MAIN

_CONVERSATION = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{7,127}")
_AGENT = re.compile(r"agent-([0-9A-Za-z_-]{1,128})")
_TRANSCRIPT, _META = ".jsonl", ".meta.json"
_DEEPEST = 6
"""Folders below a conversation's that are looked through: workflows nest their agents' files."""


class TranscriptFile(NamedTuple):
    """A transcript, or the small file beside an agent's.

    Attributes:
        path: Where it is.
        native_id: The conversation's id; None where only the lines tell.
        agent: The agent whose it is; MAIN for the conversation's own.
        is_meta: True for the small file.
    """

    path: Path
    native_id: str | None
    agent: str
    is_meta: bool = False


def projects_folder(config_folder: Path) -> Path:
    """Return the folder that holds one folder for each folder that the client was started in."""
    return config_folder / "projects"


def classify(path: Path, projects: Path) -> TranscriptFile | None:
    """Return what a file below the projects folder is; None for what is no transcript.

    Decides by the path alone, so that an event of a watcher and a walk find the same.
    """
    try:
        folder, *between, name = path.relative_to(projects).parts
    except ValueError:
        return None
    return None if folder == ".." else _classified(path, tuple(between), name)


def _classified(path: Path, between: tuple[str, ...], name: str) -> TranscriptFile | None:
    """Return what a file is, given the folders between that of its project and itself."""
    if "memory" in between[:1]:
        return None
    is_meta = name.endswith(_META)
    if not is_meta and not name.endswith(_TRANSCRIPT):
        return None
    stem = name.removesuffix(_META if is_meta else _TRANSCRIPT)
    agent = _AGENT.fullmatch(stem)
    if not between:
        if agent is not None:
            return TranscriptFile(path, None, agent[1], is_meta)
        is_own = not is_meta and _CONVERSATION.fullmatch(stem) is not None
        return TranscriptFile(path, stem, MAIN) if is_own else None
    is_below = "subagents" in between and _CONVERSATION.fullmatch(between[0]) is not None
    return TranscriptFile(path, between[0], agent[1], is_meta) if agent is not None and is_below else None


def meta_of(transcript: Path) -> Path:
    """Return the path of the small file beside an agent's transcript."""
    return transcript.with_name(transcript.name.removesuffix(_TRANSCRIPT) + _META)


def transcript_of(meta: Path) -> Path:
    """Return the path of the transcript that a small file lies beside."""
    return meta.with_name(meta.name.removesuffix(_META) + _TRANSCRIPT)


def own_of(transcript: Path, native_id: str) -> Path:
    """Return the path of a conversation's own transcript, from that of any of its transcripts."""
    folder = transcript.parent
    while folder.name != native_id and folder != folder.parent:
        folder = folder.parent
    # Those of older clients lie side by side.
    above = transcript.parent if folder == folder.parent else folder.parent
    return above / f"{native_id}{_TRANSCRIPT}"


def walk(projects: Path) -> Iterator[TranscriptFile]:
    """Yield all transcripts, those of one conversation together: its own before its agents'.

    Follows no link. A folder that cannot be listed is left out, as one that is gone.
    """
    for folder in _entries(projects):
        if folder.is_dir(follow_symlinks=False):
            yield from _below(folder.path, ())


def _below(folder: str, between: tuple[str, ...]) -> Iterator[TranscriptFile]:
    folders: dict[str, str] = {}
    for entry in _entries(folder):
        name = entry.name
        if entry.is_dir(follow_symlinks=False):
            folders[name] = entry.path
        elif name.endswith((_TRANSCRIPT, _META)) and entry.is_file(follow_symlinks=False):
            found = _classified(Path(entry.path), between, name)
            if found is None:
                continue
            yield found
            # Right after the conversation's own file: agents are then known to belong to something.
            stem = name.removesuffix(_TRANSCRIPT)
            own = folders.pop(stem, None)
            if own is not None:
                yield from _below(own, (*between, stem))
    if len(between) < _DEEPEST:
        for name, path in folders.items():
            yield from _below(path, (*between, name))


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def slug_of(folder: str) -> str:
    """Return the name of the folder in which the client keeps what was started in a folder."""
    return re.sub(r"[^A-Za-z0-9]", "-", folder)


def started_in(transcript: str | None, cwd: str | None) -> str | None:
    """Return the folder that a conversation was started in, if its folder or one above it is that.

    The client's working folder drifts, and the name of the transcripts' folder says less than a path;
    together they tell it. A name that was cut, because it was too long, is known by its beginning.
    """
    if transcript is None or cwd is None:
        return None
    slug = Path(transcript).parent.name
    if not slug:
        return None
    for folder in (cwd, *map(str, Path(cwd).parents)):
        named = slug_of(folder)
        if named == slug or (len(named) > _LONGEST_SLUG and slug.startswith(named[:_LONGEST_SLUG])):
            return folder
    return None


_LONGEST_SLUG = 200
