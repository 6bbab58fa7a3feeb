"""Finding what is to be compared: sessions roots below the watched folders, and those known from before."""

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from sessiond.logs import event
from sessiond.watch.watcher import Watcher
from sessionlib.errors import StateNotFoundError, StateUnreadableError
from sessionlib.state.scan import FinderOptions, find_roots, sessions_roots_of
from sessionlib.sync.places import stored_name
from sessionlib.sync.registrar import Registrar

_LOG = logging.getLogger("sessiond")


class Discovery:
    """Finds sessions roots, and has those projects watched that no watched folder covers.

    Args:
        registrar: Knows what was found before, and registers what is new.
        watcher: Watches.
        options: How projects are found.
        roots: Gives the watched folders.
    """

    def __init__(
        self,
        registrar: Registrar,
        watcher: Watcher,
        options: FinderOptions,
        roots: Callable[[], Sequence[Path]],
    ) -> None:
        self._registrar = registrar
        self._watcher = watcher
        self._options = options
        self._roots = roots
        self._watched: set[Path] = set()
        self._problems: frozenset[str] = frozenset()

    def find(self) -> list[Path]:
        """Return every sessions root: those below the watched folders, and those known from before.

        Raises:
            DatabaseError: The database does not answer.
        """
        registered = self.watch_registered()
        found: dict[Path, None] = {}
        problems: list[tuple[str, Path]] = []
        for watched in self._roots():
            discovery = find_roots(watched, self._options)
            found.update((root.path, None) for root in discovery.roots)
            problems += ((problem, watched) for problem in discovery.problems)
        reached = self._placed(found)
        for path in registered:
            try:
                own = [root.path for root in sessions_roots_of(path, self._options)]
            except StateUnreadableError as error:
                problems.append((error.message, path))
                continue
            if not reached.issuperset(own):
                self._watch_project(path)  # too deep below a watched folder, or pruned, to be found there
            found.update(dict.fromkeys(own))
        self._tell_problems(problems)
        # Registering first lets a project that moved take its row along before its old place is looked at.
        real = reached | self._placed(found)
        known = [place.path for place in self._registrar.places() if place.path not in real]
        self._registrar.look_up(known)
        return [*found, *known]

    def _placed(self, found: Iterable[Path]) -> set[Path]:
        """Register the sessions roots that are new; return where all of them lie without links."""
        self._registrar.look_up(found)
        real = set()
        for path in found:
            with suppress(StateNotFoundError):  # gone since it was found
                real.add(self._registrar.place_of(path).path)
        return real

    def _tell_problems(self, problems: Sequence[tuple[str, Path]]) -> None:
        """Log what could not be searched; aloud when it is news."""
        for problem, root in problems:
            level = logging.DEBUG if problem in self._problems else logging.WARNING
            event(_LOG, level, "discover.problem", problem, root=stored_name(str(root)))
        self._problems = frozenset(problem for problem, _ in problems)

    def watch_registered(self) -> list[Path]:
        """Watch the projects that were registered outside the roots; return all that were registered.

        Raises:
            DatabaseError: The database does not answer.
        """
        registered = self._registrar.registered_paths()
        tops = [os.path.realpath(root) for root in self._roots()]
        for path in registered:
            if not any(path.is_relative_to(top) for top in tops):
                self._watch_project(path)
        return registered

    def _watch_project(self, path: Path) -> None:
        if path not in self._watched:
            self._watched.add(path)
            self._watcher.add_project(path)

    def forget(self) -> None:
        """Note that other folders are watched: a project below one that went is watched for itself again."""
        self._watched.clear()
