"""What one look or one batch of events has to say, each thing once."""

import functools
import os
from collections.abc import Iterator
from pathlib import Path

from sessiond.hints import Hint, ProjectsTouched, RootTouched, SessionTouched


class Rings:
    """A set of doorbells that are to be rung together.

    Keys are path strings: a hint object is only made when the batch is over, however often its session was
    saved.
    """

    __slots__ = ("_projects", "_roots", "_sessions")

    def __init__(self) -> None:
        self._sessions: dict[str, None] = {}
        self._roots: dict[str, str] = {}
        self._projects: dict[str, str] = {}

    def session(self, session_dir: str) -> None:
        """Ring for one session folder."""
        self._sessions[session_dir] = None

    def root(self, sessions_root: str, reason: str) -> None:
        """Ring for a whole sessions root; the last reason of the batch is the one that holds now."""
        self._roots[sessions_root] = reason

    def projects(self, watch_root: str, reason: str) -> None:
        """Ring for the projects below a watch root."""
        self._projects[watch_root] = reason

    def hints(self) -> Iterator[Hint]:
        """Yield the hints, widest first: whoever hears of a root has heard of its project before.

        A session below a root that is reconciled as a whole is left out.
        """
        for path, reason in self._projects.items():
            yield ProjectsTouched(Path(path), reason)
        for path, reason in self._roots.items():
            yield RootTouched(Path(path), reason)
        for path in self._sessions:
            if not self._roots or os.path.dirname(path) not in self._roots:  # noqa: PTH120 - cheaper than Path
                yield _session_touched(path)


@functools.lru_cache(maxsize=4096)
def _session_touched(path: str) -> SessionTouched:
    """Return the hint for a session; kept, because a burst spends most of its time on making Paths."""
    return SessionTouched(Path(path))
