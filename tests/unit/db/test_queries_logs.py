"""Pages of logs, and timelines, on both databases."""

from typing import Any
from uuid import UUID

import pytest

from sessionlib.db import queries
from sessionlib.db.engine import Database
from sessionlib.db.queries import Listing, LogFilter, Place
from sessionlib.errors import RecordNotFoundError, UsageError
from tests import deeds, worlds
from tests.villages import Village, village
from tests.worlds import T0, hours


@pytest.fixture
def row(database: Database) -> Village:
    """A village."""
    with database.write() as connection:
        return village(connection)


def logs(database: Database, **wanted: Any) -> Listing:
    """Return a page of a log."""
    with database.read() as connection:
        return queries.logs(connection, LogFilter(**wanted))


def keys(page: Listing) -> str:
    """Return the keys of the events of a page."""
    return "".join(event.cursor.rsplit("|", 1)[1] for event in page.rows)


@pytest.mark.usefixtures("row")
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"session": "wall"}, "abcd"),
        ({"session": "gate"}, "ef"),
        ({"session": "roof"}, "a"),
        ({"conversation": "talk-1"}, "abcdef"),
        ({"conversation": "talk-1", "limit": 2}, "ef"),
        ({"conversation": "talk-1", "category": "response"}, "b"),
        ({"conversation": "talk-1", "since": hours(1.5)}, "ef"),
        ({"session": "wall", "since": hours(1.5)}, ""),
        ({"conversation": "lost-1"}, ""),
    ],
)
def test_a_log_is_that_of_a_session_or_a_conversation(database: Database, wanted: Any, expected: str) -> None:
    """In the order of time, the last ones where there are more; a session has what was done for it."""
    page = logs(database, **wanted)
    assert keys(page) == expected
    assert page.more == ("limit" in wanted)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_pages_follow_one_another_without_gap_or_overlap(database: Database, row: Village, size: int) -> None:
    """Forwards from the first and backwards from the last: each event once, also those of one moment."""
    again = deeds.conversation(row.garden, "talk-2", last_activity_at=hours(2))
    main = deeds.agent(again)
    both = [deeds.log(main, key, at) for key, at in (("A", 0), ("C", 1), ("D", 1), ("G", 1.9))]
    with database.write() as connection:
        links = [deeds.link(again, row.gate, until=hours(1)), deeds.link(again, row.wall, 1)]
        deeds.write(connection, deeds.Deeds(conversations=[again], agents=[main], logs=both, links=links))
    whole = logs(database, session="wall", limit=100)
    assert sorted(keys(whole)) == sorted("abcdCDG")
    places = [Place.parse(event.cursor) for event in whole.rows]
    assert places == sorted(places)
    forwards, cursor = "", places[0]._replace(at=T0.replace(year=2000)).cursor
    while page := logs(database, session="wall", after=cursor, limit=size).rows:
        forwards += keys(Listing(page, more=False))
        cursor = page[-1].cursor
    assert forwards == keys(whole)
    backwards, before = "", None
    while page := logs(database, session="wall", before=before, limit=size).rows:
        backwards = keys(Listing(page, more=False)) + backwards
        before = page[0].cursor
    assert backwards == keys(whole)


def test_an_agent_with_a_link_of_its_own_works_on_that_session(database: Database, row: Village) -> None:
    """What it does then is in the log of its session, and in no other."""
    own = deeds.link(row.talk, row.gate, 0.2, agent_native_id="scout", until=hours(0.9))
    late = deeds.log(row.scout, "z", 0.95)
    with database.write() as connection:
        deeds.write(connection, deeds.Deeds(links=[own], logs=[late]))
    assert keys(logs(database, session="gate")) == "bef"
    assert keys(logs(database, session="wall")) == "azcd"


@pytest.mark.usefixtures("row")
def test_an_event_tells_who_and_what(database: Database) -> None:
    """The agent's type, the conversation, the event and what it is about."""
    _, answer, *_, last = logs(database, conversation="talk-1").rows
    assert (answer.agent, answer.category, answer.event_type, answer.detail) == (
        "Explore",
        "response",
        "assistant",
        None,
    )
    assert (last.agent, last.conversation, last.project_slug, last.at) == (
        "Smith",
        "talk-1",
        "garden",
        hours(1.75),
    )


@pytest.mark.usefixtures("row")
def test_what_is_no_log(database: Database) -> None:
    """Neither or both, unknown names, and cursors that are none, each end in a sentence."""
    for wanted in ({}, {"session": "wall", "conversation": "talk-1"}):
        with pytest.raises(UsageError, match="of a session or of a conversation"):
            logs(database, **wanted)
    for cursor in (
        "",
        "x",
        "2026-01-05T09:00:00.000000Z",
        f"2026-01-05T09:00:00Z|{UUID(int=1)}",
        "|".join("abc"),
    ):
        with pytest.raises(UsageError, match="is no place in a log"):
            logs(database, session="wall", after=cursor)
    place = Place(T0, UUID(int=1), "k|k")
    assert Place.parse(place.cursor) == place
    with pytest.raises(UsageError, match="after one place or before one"):
        logs(database, session="wall", after=place.cursor, before=place.cursor)
    with pytest.raises(RecordNotFoundError):
        logs(database, conversation="nobody")


def timeline(database: Database, session: str, **wanted: Any) -> list[tuple[str, str, str | None]]:
    """Return the timeline of a session: kinds, subjects and statuses."""
    with database.read() as connection:
        found = queries.timeline(connection, session, **wanted)
    assert [entry.at for entry in found.rows] == sorted(entry.at for entry in found.rows)
    return [(str(entry.kind), entry.subject, entry.status) for entry in found.rows]


def _arch(database: Database) -> None:
    """Write a session with everything that a timeline shows."""
    history = (
        '{"plan_started_at": "2026-01-05T08:00:00+00:00", "plan_completed_at": "2026-01-05T09:30:00+00:00"}'
    )
    with database.write() as connection:
        place = worlds.add_place(connection)
        row = worlds.session(place, "arch", phase_history=history)
        worlds.write_sessions(
            connection,
            [row],
            versions=[
                worlds.version(row, 1, "plan", T0),
                worlds.version(row, 2, "build", hours(1)),
                worlds.version(row, 3, "build", hours(1.5)),
                worlds.version(row, 4, "build", hours(6), status="paused"),
            ],
            commits=[worlds.commit(row, 0, "abc1234", checkpoint=1, created_at=hours(3))],
            decisions=[worlds.decision(row, 0, "Use stone", decided_at=hours(0.75))],
            checkpoints=[
                worlds.CheckpointRow(
                    row.project_id, row.session_id, 1, "Base", completed=True, is_current=False
                )
            ],
        )
        talk = deeds.ended(deeds.conversation(place, started_at=hours(2)), 4)
        main = deeds.agent(talk, session_id=row.session_id)
        scout = deeds.agent(
            talk,
            "scout",
            session_id=row.session_id,
            started_at=hours(2.5),
            ended_at=hours(2.75),
            status="failed",
        )
        deeds.write(
            connection,
            deeds.Deeds(
                conversations=[talk],
                links=[deeds.link(talk, row)],
                agents=[main, scout],
                calls=[
                    deeds.call(main, "1", outcome="failed", ended_at=hours(3.5)),
                    deeds.call(main, "2"),
                ],
            ),
        )


ARCH = [
    ("phase", "plan", "started"),
    ("phase", "plan", "completed"),
    ("decision", "Use stone", None),
    ("phase", "build", "started"),
    ("conversation started", "talk", None),
    ("agent started", "Explore", None),
    ("agent ended", "Explore", "failed"),
    ("checkpoint", "1", "completed"),
    ("commit", "abc1234", "checkpoint 1"),
    ("call failed", "Bash", "failed"),
    ("conversation ended", "talk", "ended"),
    ("phase", "build", "paused"),
]


def test_a_timeline_has_it_all_in_order(database: Database) -> None:
    """Phases as dated, else as seen; decisions, commits, conversations, agents and failures among them."""
    _arch(database)
    assert timeline(database, "arch") == ARCH
    assert timeline(database, "arch", project="garden", since=hours(3)) == ARCH[-5:]
    assert timeline(database, "arch", limit=2) == ARCH[-2:]
    with database.read() as connection:
        assert queries.timeline(connection, "arch", limit=2).more
        assert not queries.timeline(connection, "arch").more
    with pytest.raises(RecordNotFoundError):
        timeline(database, "bridge")
