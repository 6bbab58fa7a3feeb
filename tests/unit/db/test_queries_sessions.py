"""Lists of sessions, asked of a small world whose answers are known."""

import itertools
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from sessionlib.db import queries
from sessionlib.db.crud import workspaces
from sessionlib.db.engine import Database
from sessionlib.db.queries import SessionFilter, session_lists
from sessionlib.models import WorkspaceUpdate
from tests import worlds
from tests.gardens import FILTERS, NOW, World, slugs
from tests.worlds import hours


def test_filters_alone_and_combined(world: tuple[World, Database]) -> None:
    """Each filter, every pair and every three hold exactly the rows they describe, in order and counted."""
    made, database = world
    with database.read() as connection:
        for size in range(4):
            for chosen in itertools.combinations(FILTERS, size):
                for missing in (False, True):
                    wanted = SessionFilter(
                        **{k: v for pair in chosen for k, v in pair[0].items()}, missing=missing
                    )
                    rows = list(made.rows.values()) if missing else made.live()
                    match = [row for row in rows if all(test(made, row) for _, test in chosen)]
                    match.sort(key=lambda row: str(row.session_id))
                    match.sort(key=lambda row: row.activity_at, reverse=True)
                    assert slugs(queries.sessions(connection, wanted)) == slugs(match), wanted
                    assert queries.count_sessions(connection, wanted) == len(match), wanted


def test_pages_are_those_of_the_list(world: tuple[World, Database], monkeypatch: pytest.MonkeyPatch) -> None:
    """A page and its total are what list and count say, whether few sessions fit or too many to read all."""
    _, database = world
    wanted = [
        SessionFilter(**{k: v for pair in chosen for k, v in pair[0].items()}, limit=2, offset=offset)
        for size in (1, 2)
        for chosen in itertools.combinations(FILTERS, size)
        for offset in (0, 1, 100)
    ]
    texts = [SessionFilter(text=text) for text in ("100%", "_", "T_P", "ÄRGER", "Ärger", "nothing like it")]
    with database.read() as connection:
        for few in (500, 1, 0):
            monkeypatch.setattr(session_lists, "_FEW", few)
            for one in (*wanted, *texts):
                found = queries.page(connection, one)
                assert found.rows == queries.sessions(connection, one), one
                assert found.total == queries.count_sessions(connection, one), one


def test_text_is_taken_literally(world: tuple[World, Database]) -> None:
    """Percent signs, underscores and backslashes in the text mean themselves; ASCII case does not matter."""
    _, database = world
    cases = {
        "100%": ["wall"],
        "%": ["wall"],
        "_": ["path"],
        "T_P": ["path"],
        "\\": ["shed-wall"],
        "garden wall": ["wall"],
        "Ärger": ["pond"],
        "nothing like it": [],
    }
    with database.read() as connection:
        for words, found in cases.items():
            assert slugs(queries.sessions(connection, SessionFilter(text=words))) == found, words


def test_order_limit_and_offset(world: tuple[World, Database]) -> None:
    """The last active come first, ties by id, and pages cut that order without gaps."""
    made, database = world
    with database.read() as connection:
        whole = queries.sessions(connection, SessionFilter())
        assert [row.activity_at for row in whole] == sorted(
            (r.activity_at for r in made.live()), reverse=True
        )
        pages = [
            queries.sessions(connection, SessionFilter(limit=2, offset=start)) for start in range(0, 10, 2)
        ]
        assert [row for page in pages for row in page] == whole
        assert queries.count_sessions(connection, SessionFilter(limit=2, offset=4)) == len(whole) == 9
        assert queries.sessions(connection, SessionFilter(limit=0)) == []


def test_summary_shows_the_row(world: tuple[World, Database]) -> None:
    """A line of a list carries the row's values and its project's slug."""
    made, database = world
    with database.read() as connection:
        (line,) = queries.sessions(connection, SessionFilter(project="garden", text="stone"))
    row = made.rows["wall"]
    assert line.project_slug == "garden"
    assert line.workspace_missing_since is None
    for name, value in line.model_dump(exclude={"project_slug", "workspace_missing_since"}).items():
        assert value == getattr(row, name), name


def test_done_but_not_closed(world: tuple[World, Database]) -> None:
    """Sessions with all checkpoints done that are neither complete nor failed, even if more than all."""
    _, database = world
    with database.read() as connection:
        assert slugs(queries.all_done_not_closed(connection)) == ["roof", "path"]
        assert slugs(queries.all_done_not_closed(connection, limit=1)) == ["roof"]


def test_stuck(world: tuple[World, Database]) -> None:
    """Open sessions that have not changed for long, the longest first; the limit is exact."""
    _, database = world
    days = (NOW - hours(10)) / timedelta(days=1)
    with database.read() as connection:
        assert slugs(queries.stuck(connection, days)) == ["seed"]
        just = queries.stuck(connection, days - 1e-6)
        assert (slugs(just)[0], set(slugs(just))) == ("seed", {"seed", "wall", "gate", "shed-wall"})
        assert len(queries.stuck(connection, 0)) == 7
        assert queries.stuck(connection, 10_000) == []


def test_workspace_missing(database: Database) -> None:
    """A session says so once no copy of it lies in a workspace and a sessions folder that are there."""
    with database.write() as connection:
        place = worlds.add_place(connection)
        other = worlds.add_workspace(connection, place.project_id, place.host_id, "/home/ann/tree")
        rows = [worlds.session(place, slug) for slug in ("alone", "copied", "deleted")]
        worlds.write_sessions(
            connection,
            rows,
            files=[
                worlds.file_of(rows[1], workspace_id=other),
                worlds.file_of(rows[2], workspace_id=other, missing_since=hours(1)),
            ],
        )

        def said() -> dict[str, Any]:
            return {
                row.slug: row.workspace_missing_since for row in queries.sessions(connection, SessionFilter())
            }

        def lost(workspace_id: UUID, at: datetime | None) -> None:
            change = WorkspaceUpdate(missing_since=at)
            workspaces.change(connection, workspace_id, change)

        assert said() == {"alone": None, "copied": None, "deleted": None}
        lost(place.workspace_id, hours(5))
        assert said() == {"alone": hours(5), "copied": None, "deleted": hours(5)}
        root = workspaces.Root(place.project_id, other, worlds.ROOT, 1, 2, hours(7), None)
        workspaces.put_root(connection, root)
        assert said() == {"alone": hours(5), "copied": hours(7), "deleted": hours(5)}
        lost(other, hours(3))
        workspaces.put_root(connection, root._replace(missing_since=None))
        assert said() == {"alone": hours(5), "copied": hours(5), "deleted": hours(5)}
        lost(place.workspace_id, None)
        assert said() == {"alone": None, "copied": None, "deleted": None}
