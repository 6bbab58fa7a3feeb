"""What settings must be to each other, once each is right by itself."""

import os
from collections.abc import Callable, Collection, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from sessionlib.config.problems import Problem
from sessionlib.config.settings import DEFAULTS, Config
from sessionlib.errors import ConfigError
from sessionlib.locations import RUNTIME_VARIABLE, SOCKET_PATH_MOST


class _Rule(NamedTuple):
    """A check, and the keys it looks at."""

    keys: tuple[str, ...]
    broken: Callable[[Config], Iterator[Problem]]


def broken_rules(config: Config, unusable: Collection[str] = ()) -> list[Problem]:
    """Return what does not fit together; rules about keys that are unusable by themselves are left out."""
    return [
        problem for rule in _RULES if not set(rule.keys) & set(unusable) for problem in rule.broken(config)
    ]


def _value(config: Config, key: str) -> float:
    section, name = key.split(".")
    number: float = getattr(getattr(config, section), name)
    return number


def _ordered(small: str, great: str) -> _Rule:
    """Return the rule that one number is at most another; the key that was set is the one to blame."""

    def broken(config: Config) -> Iterator[Problem]:
        low, high = _value(config, small), _value(config, great)
        if low <= high:
            return
        if config.origin(great) == DEFAULTS:
            reason = f"must be at most {great}, which is {high:g} where it is not set, not {low:g}"
            yield Problem(config.origin(small), small, reason, f"set {great} too")
        else:
            reason = f"must be at least {small}, which is {low:g}, not {high:g}"
            yield Problem(config.origin(great), great, reason)

    return _Rule((small, great), broken)


def _socket_path(config: Config) -> Iterator[Problem]:
    try:
        path = config.locations.socket
    except ConfigError as error:
        yield Problem(error.source, error.key, error.message, error.hint)
        return
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_MOST:
        key = "daemon.runtime_dir"
        given = next((name for name in (key, "daemon.state_dir") if config.origin(name) != DEFAULTS), key)
        yield Problem(
            config.origin(given),
            key,
            f"the socket's path {path} has {length} bytes, and the system takes {SOCKET_PATH_MOST}",
            f"name a shorter folder with {RUNTIME_VARIABLE} or daemon.runtime_dir",
        )


def _own_folders(config: Config) -> Iterator[Problem]:
    """What we write inside a sessions root would be taken for sessions, and wake the watcher."""
    for name in ("state_dir", "runtime_dir"):
        folder = getattr(config.locations, name)
        if sessions_root := _sessions_root_around(folder, config):
            key = f"daemon.{name}"
            reason = f"must not lie in {sessions_root}, which holds sessions that are watched"
            yield Problem(config.origin(key), key, reason, "name a folder outside the projects")


def _sessions_root_around(folder: Path, config: Config) -> Path | None:
    """Return the sessions root of a watched project that a folder lies in, judged by the paths alone."""
    parts = folder.parts
    patterns = [
        [part for part in place.split("/") if part not in {"", "."}] for place in config.watch.sessions_dirs
    ]
    for start in range(1, len(parts)):
        project = Path(*parts[:start])
        if not any(project.is_relative_to(root) for root in config.watch.roots):
            continue
        for pattern in patterns:
            end = start + len(pattern)
            if end <= len(parts) and all(map(fnmatchcase, parts[start:end], pattern)):
                return Path(*parts[:end])
    return None


def _named_in_url(config: Config) -> Iterator[Problem]:
    """The SQLite file in the state folder is named in a URL, which is text."""
    try:
        config.database_url.encode()
    except UnicodeEncodeError:
        key = "daemon.state_dir"
        reason = "must be a path in UTF-8, because the database's URL names it"
        yield Problem(config.origin(key), key, reason, "name another folder, or the database: database.url")
    except ConfigError:
        return  # No home folder: said where the socket's path is looked at.


_RULES = (
    _ordered("watch.quiet", "watch.longest_delay"),
    _ordered("sync.first_delay", "sync.longest_delay"),
    _Rule(("daemon.state_dir", "daemon.runtime_dir"), _socket_path),
    _Rule(("daemon.state_dir", "database.url"), _named_in_url),
    _Rule(("daemon.state_dir", "daemon.runtime_dir", "watch.roots", "watch.sessions_dirs"), _own_folders),
)
