"""An older database gets the time per phase of all its histories, whatever they are."""

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from sqlalchemy import select

from sessionlib.db import queries, schema, tables
from sessionlib.db.engine import Database
from sessionlib.db.queries import history
from sessionlib.db.rows import PhaseRow, SessionRow, VersionRow
from sessionlib.sync import standing
from tests import older, windows, worlds
from tests.worlds import hours

PHASES = ("spec", "plan", "build", "complete", "", None)
STATUSES = ("active", "active", "failed", "complete")


def histories(place: worlds.Place, seed: int) -> Iterator[tuple[SessionRow, list[VersionRow]]]:
    """Return sessions with up to eight versions each, times that go back included."""
    dice = Random(seed)
    for number in range(40):
        row = worlds.session(
            place, f"s{seed}-{number:02d}", missing_since=dice.choice([None, None, hours(3000)])
        )
        versions = [
            worlds.version(
                row,
                seq,
                dice.choice(PHASES),
                hours(number + seq * 40 + dice.uniform(-50, 50)),
                status=dice.choice(STATUSES),
            )
            for seq in range(1, dice.randint(2, 9))
        ]
        shown = {"current_phase": versions[-1].phase, "effective_status": versions[-1].status}
        yield row._replace(version_seq=len(versions), **shown), versions


def test_an_older_database_gets_its_sums(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each session stands as its versions say; where its row reads its last content anew, as that says."""
    schema.upgrade(empty, target="0003")
    made: dict[Any, tuple[SessionRow, list[VersionRow]]] = {}
    with empty.write() as connection:
        for seed, slug in enumerate(("garden", "shed")):
            place = worlds.add_place(connection, slug)
            for row, versions in histories(place, seed):
                document = worlds.document(row.project_id, row.content_hash)
                older.write(connection, tables.documents, [document])
                shown = row
                if len(made) % 7 == 0:
                    shown = row._replace(current_phase="read anew", effective_status="paused")
                    versions[-1] = versions[-1]._replace(phase="read anew", status="paused")
                older.write(connection, tables.sessions, [shown])
                stored = versions[:-1], row.current_phase, row.effective_status
                last = versions[-1]._replace(phase=stored[1], status=stored[2])
                older.write(connection, tables.session_versions, [*stored[0], last])
                made[row.session_id] = shown, versions
    assert schema.upgrade(empty) is schema.SchemaState.OLDER
    with empty.read() as connection:
        left: dict[Any, dict[str, int]] = {session_id: {} for session_id in made}
        for found in connection.execute(select(tables.session_phases)):
            phase = PhaseRow(*found)
            left[phase.session_id][phase.phase] = phase.stood_us
        for session in connection.execute(select(tables.sessions)):
            row, versions = made[session.session_id]
            wanted = standing.of(versions)
            assert (session.phase_stood_us, left[row.session_id]) == wanted[1:], row.slug
            if row.current_phase is not None:
                assert session.phase_since_us == wanted.since_us, row.slug
        now = hours(5000)
        monkeypatch.setattr(history, "utc_now", lambda: now)
        for project in (None, "garden", "shed"):
            asked = queries.time_per_phase(connection, project)
            assert asked == windows.time_per_phase(connection, now, project)
            assert len(asked) > 5


def test_a_session_without_a_history_counts_nowhere(empty: Database) -> None:
    """There should be none; it stays as it is, and later versions count."""
    schema.upgrade(empty, target="0003")
    with empty.write() as connection:
        row = worlds.session(worlds.add_place(connection), "bare", effective_status="complete")
        older.write(connection, tables.documents, [worlds.document(row.project_id, row.content_hash)])
        older.write(connection, tables.sessions, [row])
    schema.upgrade(empty)
    with empty.read() as connection:
        (found,) = connection.execute(select(tables.sessions))
        assert (found.phase_since_us, found.phase_stood_us) == (None, None)
        assert queries.time_per_phase(connection) == []
