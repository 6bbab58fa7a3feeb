"""Which sessions of this host there are to verify: folders that are there, and copies that are stored."""

# Not Path's questions: they raise for a name that is too long.
# ruff: noqa: PTH110, PTH112

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from sessionlib.db import pictures
from sessionlib.db.engine import Database
from sessionlib.errors import StateNotFoundError
from sessionlib.state.listing import WHOLE_ROOT, list_sessions
from sessionlib.state.scan import FinderOptions, find_roots, session_place
from sessionlib.sync.anew import Portion
from sessionlib.sync.folders import located
from sessionlib.sync.picture import key_of
from sessionlib.sync.places import Place, real_name

_TOGETHER = 128
"""Sessions of one portion."""


@dataclass(slots=True)
class Survey:
    """What there is to verify.

    Attributes:
        groups: The sessions by where they lie: the sessions roots of one name that are there, in workspaces
            of one project on this host, and the names of the folders.
        whole: The sessions roots that were asked for with all that they hold.
        missing: Those of them that are not there; what they held counts as it is committed.
        unknown: Sessions roots that are not registered, and how many sessions they hold.
        problems: (path, reason) of what could not be listed.
    """

    groups: dict[tuple[Place, ...], list[str]] = field(default_factory=dict)
    whole: list[Place] = field(default_factory=list)
    missing: list[Place] = field(default_factory=list)
    unknown: dict[Path, int] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many sessions there are."""
        return sum(map(len, self.groups.values()))

    @property
    def sessions(self) -> set[tuple[UUID, str, str]]:
        """The sessions, by project, root and folder's name."""
        return {
            (places[0].project_id, places[0].root, slug)
            for places, slugs in self.groups.items()
            for slug in slugs
        }

    def portions(self) -> Iterator[Portion]:
        """Return the sessions in small groups."""
        for places, slugs in self.groups.items():
            for start in range(0, len(slugs), _TOGETHER):
                yield Portion(places, tuple(slugs[start : start + _TOGETHER]))


@dataclass(slots=True)
class _Asked:
    """Which sessions roots were asked for, and which sessions of them; None for all."""

    slugs: dict[Place, set[str] | None] = field(default_factory=dict)

    def add(self, place: Place, slug: str | None = None) -> None:
        wanted = self.slugs.setdefault(place, set())
        if slug is None:
            self.slugs[place] = None
        elif wanted is not None:
            wanted.add(slug)


def survey(
    database: Database,
    known: Sequence[Place],
    finder: FinderOptions,
    *,
    paths: Sequence[Path] = (),
    roots: Sequence[Path] = (),
) -> Survey:
    """List what there is to verify.

    Args:
        database: With the current schema.
        known: All sessions roots that are registered on this host.
        finder: Where projects keep their sessions.
        paths: Projects, sessions roots, folders above such, or folders of single sessions; absolute. All that
            is known and what lies below `roots` for none.
        roots: Folders that projects are looked for in.

    Raises:
        StateNotFoundError: A path leads to no sessions.
        DatabaseError: The database does not answer.
    """
    found = Survey()
    asked = _Asked()
    if not paths:
        for place in known:
            asked.add(place)
        for root in roots:
            _search(found, known, finder, root)
    for path in paths:
        _choose(found, asked, known, finder, path)
    found.whole = [place for place, slugs in asked.slugs.items() if slugs is None]
    _list(found, asked, database, known)
    return found


def stored_in(database: Database, places: Iterable[Place]) -> set[tuple[UUID, str, str]]:
    """Return the sessions (project, root, folder's name) that have a copy in roots that are there now.

    Raises:
        DatabaseError: The database does not answer.
    """
    there = [place for place in places if os.path.isdir(place.path)]
    with database.read() as connection:
        rows = pictures.copy_states(connection, [key_of(place) for place in there])
    return {
        (there[row[0]].project_id, there[row[0]].root, real_name(row[1]))
        for row in rows
        if isinstance(row[1], str)
    }


def _choose(found: Survey, asked: _Asked, known: Sequence[Place], finder: FinderOptions, path: Path) -> None:
    real = Path(os.path.realpath(path))  # not Path.resolve: it raises for links that lead in circles
    is_any = False
    for place in known:
        if place.path.is_relative_to(real):
            asked.add(place)
            is_any = True
        elif real.is_relative_to(place.path):
            asked.add(place, real.relative_to(place.path).parts[0])
            is_any = True
    is_any = (os.path.isdir(path) and _search(found, known, finder, path)) or is_any
    for inside, root in ((path / "_", path), (path, path.parent)):
        if not is_any and os.path.isdir(root) and session_place(inside, finder) is not None:
            is_any = _note_unknown(found, known, root)
    if not is_any:
        there = "no sessions below" if os.path.exists(path) else "there is no folder"
        raise StateNotFoundError(
            f"{there} {path}",
            session_dir=path,
            hint=f"a project keeps them in {' or '.join(finder.sessions_dirs)}",
        )


def _search(found: Survey, known: Sequence[Place], finder: FinderOptions, path: Path) -> bool:
    discovery = find_roots(path, finder)
    found.problems += [(str(path), problem) for problem in discovery.problems]
    noted = [_note_unknown(found, known, root.path) for root in discovery.roots]
    return any(noted)


def _note_unknown(found: Survey, known: Sequence[Place], root: Path) -> bool:
    """Note a sessions root that is there; one without sessions need not be registered."""
    real, seen = located(root)
    if seen is None:
        return False
    if all(place.path != real for place in known):
        try:
            count = len(list_sessions(real).sessions)
        except StateNotFoundError:
            return False
        if count:
            found.unknown[real] = count
    return True


def _list(found: Survey, asked: _Asked, database: Database, known: Sequence[Place]) -> None:
    """Fill in the groups: each session root is listed once, with those of its name in other workspaces."""
    groups: dict[tuple[UUID, str], list[Place]] = {}
    for place in asked.slugs:
        groups.setdefault((place.project_id, place.root), [])
    for place in known:
        if (group := groups.get((place.project_id, place.root))) is not None:
            group.append(place)
    for group in groups.values():
        _list_group(found, asked, database, group)


def _list_group(found: Survey, asked: _Asked, database: Database, group: Sequence[Place]) -> None:
    there: list[Place] = []
    names: set[str] = set()
    for place in group:
        slugs = _slugs(found, database, place)
        if slugs is not None:
            there.append(place)
            if place in asked.slugs:
                wanted = asked.slugs[place]
                names |= slugs if wanted is None else slugs & wanted
        elif place in asked.slugs:
            found.missing.append(place)
    if names:
        found.groups[tuple(there)] = sorted(names)


def _slugs(found: Survey, database: Database, place: Place) -> set[str] | None:
    """Return the sessions of a root, those that are only stored included; None if it is not there now."""
    with database.read() as connection:
        live = {real_name(row[1]) for row in pictures.copy_states(connection, [key_of(place)])}
        state = pictures.root_states(connection, [key_of(place)]).get(key_of(place))
    try:
        listing = list_sessions(place.path, beneath=place.workspace_path)
    except StateNotFoundError:
        return None
    if not listing.is_whole:
        found.problems += [(str(place.path), why) for name, why in listing.problems if name == WHOLE_ROOT]
        return None
    if state is not None and listing.looks_unmounted(state.dev, len(live)):
        return None
    return live.union(listing.sessions, (name for name, _ in listing.problems))


def by_project(places: Iterable[Place]) -> dict[UUID, list[Place]]:
    """Return sessions roots by their project."""
    found: dict[UUID, list[Place]] = {}
    for place in places:
        found.setdefault(place.project_id, []).append(place)
    return found
