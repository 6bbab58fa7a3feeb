"""What git knows of a folder, read from its plain files: top level, main repository, remote.

git itself is not run: it is slow to start, may be absent, and refuses folders of other users. A few small
files say all that is needed; what cannot be understood counts as "no checkout".
"""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from sessionlib.state.remote import normalise_remote

__all__ = ["Checkout", "find_checkout", "normalise_remote"]

_MOST_BYTES = 1 << 20
_SECTION = re.compile(r'\s*\[\s*(?P<name>[A-Za-z0-9.-]+)\s*(?:"(?P<sub>(?:[^"\\]|\\.)*)")?\s*\]')
_PAIR = re.compile(r"\s*(?P<key>[A-Za-z][A-Za-z0-9-]*)\s*(?:=\s*(?P<value>.*))?$")
_COMMENT = re.compile(r'((?:[^"#;\\]|\\.|"(?:[^"\\]|\\.)*")*)[#;].*')
_ESCAPE = re.compile(r"\\(.)|\"")
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b"}


@dataclass(frozen=True, slots=True)
class Checkout:
    """One working folder of a git repository.

    Attributes:
        path: Its top level, links resolved.
        common_dir: The git folder shared by all checkouts of the repository.
        main_path: The working folder of the main repository; None when that is bare.
        is_worktree: Whether this is an additional worktree.
        remote_url: The normalised address of ``origin``, else of the first remote by name; None without one.
    """

    path: Path
    common_dir: Path
    main_path: Path | None
    is_worktree: bool
    remote_url: str | None


def find_checkout(path: Path) -> Checkout | None:
    """Return the checkout that contains a path, or None when none does, or its files make no sense.

    A submodule is a repository of its own.
    """
    start = Path(os.path.realpath(path))
    for folder in (start, *start.parents):
        entry = folder / ".git"
        mode = _mode(entry)
        if stat.S_ISDIR(mode) and _is_git_dir(entry):
            return _checkout(folder, Path(os.path.realpath(entry)))
        if stat.S_ISREG(mode):
            # Like git itself: a .git file that leads nowhere ends the search.
            target = _pointed_at(entry)
            return None if target is None or not _is_git_dir(target) else _checkout(folder, target)
    return None


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


def _is_git_dir(path: Path) -> bool:
    """Tell a repository's folder from an empty one of that name; a worktree's shares the objects."""
    try:
        (path / "HEAD").lstat()
    except OSError:
        return False
    return stat.S_ISDIR(_mode(path / "objects")) or stat.S_ISREG(_mode(path / "commondir"))


def _pointed_at(entry: Path) -> Path | None:
    """Follow a ``.git`` file: one line, ``gitdir: <path>``."""
    line = _line(entry)
    if line is None or not line.startswith("gitdir:"):
        return None
    return _resolved(entry.parent, line.removeprefix("gitdir:").strip())


def _checkout(top: Path, git_dir: Path) -> Checkout | None:
    shared = _line(git_dir / "commondir")
    common_dir = git_dir if shared is None else _resolved(git_dir, shared)
    if common_dir is None or not stat.S_ISDIR(_mode(common_dir)):
        return None
    is_worktree = common_dir != git_dir
    config = _config(common_dir / "config")
    return Checkout(
        path=top,
        common_dir=common_dir,
        main_path=_main_path(common_dir, config) if is_worktree else top,
        is_worktree=is_worktree,
        remote_url=_remote(config),
    )


def _main_path(common_dir: Path, config: dict[tuple[str, str, str], str]) -> Path | None:
    """Return where the main repository's files are, as seen from one of its worktrees."""
    elsewhere = config.get(("core", "", "worktree"))
    if elsewhere:
        return _resolved(common_dir, elsewhere)
    bare = config.get(("core", "", "bare"), "false").lower() in {"true", "yes", "on", "1", ""}
    return common_dir.parent if common_dir.name == ".git" and not bare else None


def _remote(config: dict[tuple[str, str, str], str]) -> str | None:
    urls = {sub: url for (section, sub, key), url in config.items() if (section, key) == ("remote", "url")}
    for name in sorted(urls, key=lambda name: (name != "origin", name)):
        if (found := normalise_remote(urls[name])) is not None:
            return found
    return None


def _config(path: Path) -> dict[tuple[str, str, str], str]:
    """Read (section, subsection, key) → first value; lines that make no sense are passed over."""
    found: dict[tuple[str, str, str], str] = {}
    section = sub = ""
    for line in re.sub(r"\\\r?\n", "", _text(path) or "").splitlines():
        rest = line
        if (head := _SECTION.match(line)) is not None:
            section = head["name"].lower()
            sub = re.sub(r"\\(.)", r"\1", head["sub"] or "")
            rest = line[head.end() :]
        if (pair := _PAIR.match(rest)) is not None:
            found.setdefault((section, sub, pair["key"].lower()), _value(pair["value"] or ""))
    return found


def _value(raw: str) -> str:
    without_comment = _COMMENT.sub(r"\1", raw).strip()
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[1]) if match[1] else "", without_comment)


def _line(path: Path) -> str | None:
    text = _text(path)
    return None if text is None else text.rstrip("\r\n")


def _text(path: Path) -> str | None:
    """Read a small plain file; None for what is none."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError):
        return None
    return None if len(data) > _MOST_BYTES else os.fsdecode(data)


def _resolved(base: Path, relative: str) -> Path | None:
    if not relative or "\0" in relative or "\n" in relative:
        return None
    return Path(os.path.realpath(base / relative))
