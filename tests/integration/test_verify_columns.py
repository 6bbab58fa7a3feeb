"""Each derived column of each table of the mirror is proved, and made right again, on both databases."""

from importlib import import_module
from pathlib import Path
from uuid import uuid4

import pytest

from sessionlib.db import comparing, tables
from tests import verifying
from tests.mirrors import World
from tests.verifying import COLUMNS

HISTORY = {"session_versions", "session_phases"}
"""Tables whose every column is observed."""


@pytest.fixture
def mirrored(world: World, root: Path, tmp_path: Path) -> World:
    """Two sessions with rows in every table of the mirror; and a second workspace of the project."""
    world.sync(verifying.make(root, "one"), verifying.make(root, "two"))
    world.reconcile(root)
    world.clock.tick()
    place = world.rows("workspaces")[0]
    other = place | {"workspace_id": uuid4(), "path": str(tmp_path / "elsewhere")}
    verifying.add(world, "workspaces", other)
    return world


def test_every_table_of_the_mirror_is_compared() -> None:
    """A table that is new is compared as well, or has nothing that is derived."""
    assert (
        set(comparing.COMPARED)
        == {
            name
            for module in ("files", "sessions")
            for name in import_module(f"sessionlib.db.tables.{module}").__all__
        }
        - HISTORY
    )
    for name in HISTORY:
        kinds = {column.info["kind"] for column in tables.metadata.tables[name].columns}
        assert kinds == {"key", "observed"}


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=lambda value: value)
def test_an_edited_column_is_named_and_mended(mirrored: World, table: str, column: str) -> None:
    """One value that somebody changed is named with both values, and rebuilt; nothing else ever moves."""
    before = mirrored.everything()
    assert verifying.drifts(mirrored) == []
    row = verifying.row_of(mirrored, table, "one")
    value = verifying.other(mirrored, table, column, row)
    verifying.edit(mirrored, table, row, **{column: value})
    (drift,) = verifying.drifts(mirrored)
    assert (drift.table, drift.column) == (table, column)
    assert verifying.meaning(drift.stored) == verifying.meaning(value)
    assert verifying.meaning(drift.expected) == verifying.meaning(row[column])
    key = {name.name for name in tables.metadata.tables[table].primary_key.columns}
    assert {name: str(found) for name, found in drift.key.items()} == {name: str(row[name]) for name in key}
    assert Path(drift.path).name in {"one", "two"}  # a document may be of both
    assert drift.cause
    assert drift.advice.endswith(drift.path)
    done = verifying.rebuilt(mirrored)
    assert (done.written, done.rows) == (1, 1)
    assert verifying.drifts(mirrored) == []
    assert mirrored.everything() == before
    assert verifying.rebuilt(mirrored).rows == 0


PARTS = [
    "session_inputs",
    "checkpoints",
    "commits",
    "decisions",
    "doc_updates",
    "research_runs",
    "session_links",
]


@pytest.mark.parametrize("table", [*PARTS, "session_files"])
def test_a_deleted_row_is_named_and_mended(mirrored: World, table: str) -> None:
    """A row that is missing is named, and what was derived of it comes back with the same key."""
    before = mirrored.derived()
    row = verifying.row_of(mirrored, table, "one")
    verifying.remove(mirrored, table, row)
    found = verifying.drifts(mirrored)
    assert (table, None) in verifying.places(found)
    assert all((one.column, one.stored) == (None, None) and one.expected for one in found)
    assert {Path(one.path).name for one in found} == {"one"}
    assert verifying.rebuilt(mirrored).rows == len(found)
    assert verifying.drifts(mirrored) == []
    assert mirrored.derived() == before


@pytest.mark.parametrize("table", PARTS)
def test_an_added_row_is_named_and_mended(mirrored: World, table: str) -> None:
    """A row that no document backs is named, and goes."""
    before = mirrored.everything()
    row = verifying.row_of(mirrored, table, "one")
    last = list(tables.metadata.tables[table].primary_key.columns)[-1].name
    verifying.add(mirrored, table, row | {last: 99 if isinstance(row[last], int) else "zz"})
    (drift,) = verifying.drifts(mirrored)
    assert (drift.table, drift.column, drift.expected) == (table, None, None)
    assert drift.stored
    assert drift.cause == "the row was added behind the mirror"
    assert verifying.rebuilt(mirrored).rows == 1
    assert mirrored.everything() == before


def test_a_deleted_session_comes_back_under_its_id(mirrored: World) -> None:
    """A session's row that is missing is named with all its parts, and comes back with the same keys."""
    before = mirrored.derived()
    verifying.remove(mirrored, "sessions", mirrored.session("one"))
    found = verifying.drifts(mirrored)
    assert ("sessions", None) in verifying.places(found)
    assert verifying.rebuilt(mirrored).rows == len(found)
    assert mirrored.derived() == before
    assert verifying.drifts(mirrored) == []
