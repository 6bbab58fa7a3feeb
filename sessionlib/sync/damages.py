"""Values of a survey's copies and sessions that cannot be read as what they should be, and their mending."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sessionlib.db import damage
from sessionlib.db.damage import Damage
from sessionlib.db.engine import Database
from sessionlib.models.base import utc_now
from sessionlib.sync.places import real_name
from sessionlib.sync.surveying import Survey, by_project


class Damaged(NamedTuple):
    """A damaged value.

    Attributes:
        path: The session's folder.
        value: Which value, of which row.
        expected: What a rebuild writes instead, unless the files tell better.
    """

    path: Path
    value: Damage
    expected: Any


def damaged_in(database: Database, survey: Survey) -> list[Damaged]:
    """Return the damaged values in rows of the sessions that a survey is about.

    Raises:
        DatabaseError: The database does not answer.
    """
    if database.is_postgres:
        return []
    found: list[Damaged] = []
    folders = _Folders(survey)
    for project_id in folders.projects:
        with database.read() as connection:
            for value in damage.find(connection, project_id):
                path = folders.of(value)
                if path is not None:
                    found.append(Damaged(path, value, damage.replacement(connection, value, utc_now())))
    return found


def mended(database: Database, survey: Survey, *, observed: bool) -> tuple[int, int]:
    """Write something readable where damaged values are; return how many rows of how many sessions it were.

    Args:
        database: With the current schema.
        survey: Which sessions they are.
        observed: Only what was observed: the rest is derived from files where they can be read.

    Raises:
        DatabaseError: The database does not answer.
    """
    found = [one for one in damaged_in(database, survey) if one.value.is_observed or not observed]
    if found:
        with database.write() as connection:
            for one in found:
                damage.mend(connection, one.value, utc_now())
    return len({(one.value.table, one.value.key) for one in found}), len({one.path for one in found})


class _Folders:
    """The folders of rows that a survey is about."""

    def __init__(self, survey: Survey) -> None:
        places = [*survey.whole, *(place for group in survey.groups for place in group)]
        self.projects = by_project(places)
        self._places = {(str(one.project_id), str(one.workspace_id), one.root): one.path for one in places}
        self._whole = {(str(one.project_id), str(one.workspace_id), one.root) for one in survey.whole}
        self._slugs = set(_slugs(survey))

    def of(self, value: Damage) -> Path | None:
        """Return the folder of a row; None where it was not asked for."""
        if not isinstance(value.at[3], str):
            return None
        name = real_name(value.at[3])
        path = self._places.get(value.at[:3])
        if path is None or not (value.at[:3] in self._whole or (*value.at[:3], name) in self._slugs):
            return None
        return path / name


def _slugs(survey: Survey) -> Iterator[tuple[str, str, str, str]]:
    for places, slugs in survey.groups.items():
        for place in places:
            for slug in slugs:
                yield str(place.project_id), str(place.workspace_id), place.root, slug
