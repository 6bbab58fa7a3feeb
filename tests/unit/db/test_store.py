"""What the files-to-database bridge writes and reads in one piece."""

import pytest
from sqlalchemy import func, select, text

from sessionlib.db import store, tables
from sessionlib.db.engine import Database
from sessionlib.errors import RowRejectedError
from sessionlib.models import derived_id
from tests import worlds


def test_a_bad_row_anywhere_rejects_the_batch(database: Database) -> None:
    """Whichever table the bad row is for, the batch leaves nothing, and the next one is written."""
    with database.write() as connection:
        place = worlds.add_place(connection)
    good, bad = worlds.session(place, "good"), worlds.session(place, "bad")
    nobody = good._replace(session_id=derived_id("nobody"))
    batches = [
        ([good, bad._replace(checkpoints_completed=-1)], {}),
        ([good, bad._replace(topic="a\0b")], {}),
        ([good], {"commits": [worlds.commit(good, 0, "abc"), worlds.commit(nobody, 0, "abc")]}),
        ([good], {"decisions": [worlds.decision(good, 0, "x")._replace(title=None)]}),
        ([good], {"versions": [worlds.version(nobody, 1, "build", worlds.T0)]}),
    ]
    for rows, parts in batches:
        with pytest.raises(RowRejectedError) as caught, database.write() as connection:
            worlds.write_sessions(connection, rows, **parts)
        assert not caught.value.transient
        with database.read() as connection:
            for table in (tables.sessions, tables.documents, tables.session_files, tables.commits):
                assert connection.scalar(select(func.count()).select_from(table)) == 0
    with database.write() as connection:
        worlds.write_sessions(connection, [good])
        assert connection.scalar(select(tables.sessions.c.slug)) == "good"


def test_parts_that_left_the_document_go(database: Database) -> None:
    """A session written again keeps just the parts it has now; another's stay."""
    with database.write() as connection:
        place = worlds.add_place(connection)
        row, other = worlds.session(place, "a"), worlds.session(place, "b")
        both = [worlds.commit(made, position, "abc") for made in (row, other) for position in range(3)]
        worlds.write_sessions(connection, [row, other], commits=both)
        again = store.Batch(
            sessions=[row],
            replaced={"commits": [(row.project_id, row.session_id)]},
            commits=[worlds.commit(row, 1, "def")],
        )
        store.write(connection, again)
        table = tables.commits.c
        found = connection.execute(select(table.session_id, table.position, table.sha))
        assert sorted(found.all(), key=str) == sorted(
            [(row.session_id, 1, "def"), *((other.session_id, position, "abc") for position in range(3))],
            key=str,
        )


def test_absence_and_another_look(database: Database) -> None:
    """How often a copy was not found is written by its whole key; another look concerns a whole workspace."""
    with database.write() as connection:
        place = worlds.add_place(connection)
        rows = [worlds.session(place, slug) for slug in ("a", "b")]
        rows.append(worlds.session(place, "c", root="other"))
        worlds.write_sessions(connection, rows)
        keys = [(place.project_id, place.workspace_id, worlds.ROOT, slug) for slug in ("a", "nobody")]
        store.set_absence(connection, keys, looks=2, since=worlds.T0, missing_since=worlds.hours(1))
        store.set_absence(connection, [], looks=9, since=None, missing_since=None)
        files = tables.session_files.c
        columns = select(files.slug, files.absent_looks, files.absent_since, files.missing_since)
        found = {row[0]: tuple(row[1:]) for row in connection.execute(columns)}
        assert found == {"a": (2, worlds.T0, worlds.hours(1)), "b": (0, None, None), "c": (0, None, None)}
        ids = store.session_ids_in(connection, place.project_id, place.workspace_id)
        assert ids == sorted((row.session_id for row in rows), key=str)
        assert store.session_ids_in(connection, place.project_id, place.workspace_id, "other") == [
            rows[2].session_id
        ]
        store.look_again(connection, place.project_id, place.workspace_id)
        assert set(connection.scalars(select(files.mapping_version))) == {0}


def test_statistics_are_refreshed(database: Database) -> None:
    """After a refresh the planner of either database knows how many sessions there are."""
    with database.write() as connection:
        place = worlds.add_place(connection)
        worlds.write_sessions(connection, [worlds.session(place, f"s{number}") for number in range(20)])
    database.refresh_statistics()
    with database.read() as connection:
        if database.is_postgres:
            counted = connection.scalar(text("SELECT reltuples FROM pg_class WHERE relname = 'sessions'"))
        else:
            counted = connection.scalar(text("SELECT stat FROM sqlite_stat1 WHERE tbl = 'sessions'"))
    assert str(counted).startswith("20")
