"""Each derived column of each table of the mirror is proved, and made right again, on both databases."""

import shutil
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from sessionlib.db import comparing, tables
from sessionlib.sync import absences, rebuild
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


ON_SQLITE = pytest.mark.parametrize("mirror_database", ["sqlite"], indirect=True)
"""PostgreSQL refuses a value that its column cannot hold."""


def _damage(world: World, table: str, column: str, value: object, row: dict[str, Any]) -> None:
    keys = (name.name for name in tables.metadata.tables[table].primary_key.columns)
    verifying.damage(world, table, column, value, **{name: row[name] for name in keys})


@ON_SQLITE
@pytest.mark.parametrize(
    ("table", "column", "value"),
    [(*place, value) for place in verifying.STORED for value in verifying.damages(*place)],
    ids=str,
)
def test_a_damaged_value_is_named_and_overwritten(
    mirrored: World, table: str, column: str, value: object
) -> None:
    """A value that its column cannot hold is drift with its raw text, and a rebuild writes over it."""
    before = mirrored.derived()
    row = verifying.row_of(mirrored, table, "one")
    _damage(mirrored, table, column, value, row)
    (drift,) = verifying.drifts(mirrored)
    assert (drift.table, drift.column) == (table, column)
    assert drift.stored in (value, str(value), "\\xff", b"\xff")
    assert drift.cause == "the row was damaged: no such value is ever written there"
    assert drift.advice == f"sessionctl rebuild {drift.path}"
    done = verifying.rebuilt(mirrored)
    assert done.written >= 1
    assert verifying.drifts(mirrored) == []
    assert mirrored.derived() == before
    after = verifying.row_of(mirrored, table, "one")
    assert verifying.rebuilt(mirrored).rows == 0
    if not column.endswith(("_at", "since_us", "stood_us", "mtime_ns")):
        assert after[column] == row[column]


@ON_SQLITE
@pytest.mark.parametrize("body", ["nojson", b"\xff", verifying.NoText(), "[]", '"text"', "7", '{"topic": 7}'])
def test_a_damaged_document_is_named_and_written_again(mirrored: World, body: object) -> None:
    """Documents that cannot be read, or do not say what their files do, are drift and written over."""
    before = mirrored.derived()
    verifying.damage(mirrored, "documents", "body", body)
    found = verifying.drifts(mirrored)
    assert set(verifying.places(found)) == {("documents", "body")}
    assert {drift.advice for drift in found} == {f"sessionctl rebuild {drift.path}" for drift in found}
    verifying.rebuilt(mirrored)
    assert verifying.drifts(mirrored) == []
    assert mirrored.derived() == before


@ON_SQLITE
@pytest.mark.parametrize("body", ["nojson", b"\xff", verifying.NoText(), "[]", '"text"', "7"])
def test_a_damaged_document_without_a_file_is_named(mirrored: World, root: Path, body: object) -> None:
    """Where the last good content is in no file any more, neither verb stops; a good file mends it."""
    folder = root / "one"
    good = (folder / "state.json").read_bytes()
    (folder / "state.json").write_bytes(b"[]")
    verifying.aged(folder)
    mirrored.sync(folder)
    verifying.damage(mirrored, "documents", "body", body)
    found = verifying.drifts(mirrored)
    (lost,) = [drift for drift in found if drift.path == str(folder)]
    assert (lost.table, lost.column) == ("documents", "body")
    assert "no file here holds it" in lost.cause
    done = verifying.rebuilt(mirrored)
    assert str(folder) in {path for path, _ in [*done.rejected, *done.unreadable]}
    assert [drift.path for drift in verifying.drifts(mirrored)] == [str(folder)]
    assert verifying.rebuilt(mirrored).rows == 0
    (folder / "state.json").write_bytes(good)
    verifying.aged(folder)
    verifying.rebuilt(mirrored)
    assert verifying.drifts(mirrored) == []


@ON_SQLITE
@pytest.mark.parametrize(
    "column", ["missing_since", "absent_since", "observed_at", "session_id", "size", "extras"]
)
@pytest.mark.parametrize("state", ["gone", "unreadable"])
@pytest.mark.parametrize("value", [b"\xff", verifying.NoText()])
def test_damage_of_copies_that_cannot_be_read_is_mended(
    mirrored: World, root: Path, column: str, state: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that is gone, or may not be read, has a row that is mended as far as anybody knows."""
    monkeypatch.setattr(rebuild, "CONFIRM_AFTER", 0.0)
    monkeypatch.setattr(absences, "CONFIRM_AFTER", absences.CONFIRM_AFTER * 0)
    if state == "gone":
        shutil.rmtree(root / "one")
        mirrored.reconcile(root)
        mirrored.confirm(root)
    else:
        (root / "one/state.json").write_bytes(b"[]")
        verifying.aged(root / "one")
        mirrored.sync(root / "one")
    assert verifying.drifts(mirrored) == []
    verifying.damage(mirrored, "session_files", column, value, slug="one")
    assert ("session_files", column) in verifying.places(verifying.drifts(mirrored))
    verifying.rebuilt(mirrored)
    assert verifying.drifts(mirrored) == []
    mirrored.everything()
