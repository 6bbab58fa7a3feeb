"""Recorded journals are replayed in every order, twice, in pieces and cut: the tables come out the same."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionlib.db.engine import Database
from sessionlib.journal.facts import Fact
from tests.ingesting import House, differences, facts_in, payloads, put_transcripts

Everything = dict[str, Any]


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    """An empty house."""
    return House(database, tmp_path)


@pytest.fixture
def another(sqlite_template: bytes, tmp_path: Path) -> Callable[[], House]:
    """Make a further empty house, with a database of its own."""
    count = 0

    def make() -> House:
        nonlocal count
        count += 1
        folder = tmp_path / f"another{count}"
        folder.mkdir()
        (folder / "mirror.db").write_bytes(sqlite_template)
        return House(Database(f"sqlite:///{folder}/mirror.db"), folder)

    return make


def deliver_all(house: House, *, order: random.Random | None = None) -> None:
    """Leave all recorded payloads in the spool, each at the time it was recorded at, in any order."""
    bodies = list(enumerate(payloads()))
    if order is not None:
        order.shuffle(bodies)
    for number, body in bodies:
        house.deliver(body, number * 100, CLAUDE_PID="4711")


@pytest.fixture
def expected(another: Callable[[], House]) -> Everything:
    """What the recorded journals come to when they are read as they were written."""
    house = another()
    put_transcripts(house.config)
    deliver_all(house)
    house.drain()
    house.read()
    return house.everything()


def test_the_recorded_journals_hold_something_of_everything(expected: Everything) -> None:
    """The comparisons below compare rows of every kind; links need sessions and are tested elsewhere."""
    empty = [name for name, rows in expected.items() if not rows]
    assert empty == ["conversation_links"]
    outcomes = {row["outcome"] for row in expected["tool_calls"]}
    assert outcomes >= {"ok", "failed", "denied"}
    assert {row["status"] for row in expected["agents"]} >= {"running", "complete"}
    assert {row["parent_source"] for row in expected["agents"]} >= {"none", "assumed", "transcript", "meta"}


def test_both_databases_hold_the_same(house: House, expected: Everything) -> None:
    """SQLite and PostgreSQL come out alike."""
    put_transcripts(house.config)
    deliver_all(house)
    house.drain()
    house.read()
    assert differences(house.everything(), expected) == []


def test_transcripts_before_hooks(house: House, expected: Everything) -> None:
    """What is told last may have happened first."""
    put_transcripts(house.config)
    house.read()
    deliver_all(house)
    house.drain()
    assert differences(house.everything(), expected) == []


@pytest.mark.parametrize("seed", range(3))
def test_any_order(another: Callable[[], House], expected: Everything, seed: int) -> None:
    """Files and deliveries in any order, with a new process after each few."""
    order = random.Random(seed)
    house = another()
    files = put_transcripts(house.config)
    contents = {path: path.read_bytes() for path in files}
    deliver_all(house, order=order)
    for path in files:
        path.write_bytes(b"")
    order.shuffle(files)
    for path in files:
        path.write_bytes(contents[path])
        if order.random() < 0.3:
            house.read(order=order)
            house.open()
        if order.random() < 0.2:
            house.deliveries.drain()
    house.drain()
    house.read()
    assert differences(house.everything(), expected) == []


@pytest.mark.parametrize("seed", range(3))
def test_single_facts_in_any_order(another: Callable[[], House], seed: int) -> None:
    """Every single fact can come before every other one, and more than once."""
    order = random.Random(seed)
    straight, mixed = another(), another()
    put_transcripts(straight.config)
    put_transcripts(mixed.config)
    straight.take(facts_in(straight.config))
    facts = list(facts_in(mixed.config))
    facts += order.sample(facts, len(facts) // 3)
    order.shuffle(facts)
    step = len(facts) // 7
    early: list[tuple[str, Fact]] = []
    for start in range(0, len(facts), step):
        early = mixed.take(early + facts[start : start + step])
    assert early == []
    found = differences(straight.everything(), mixed.everything())
    assert found == [], "\n".join(found)


def test_twice(house: House, expected: Everything) -> None:
    """Read again from the beginning, by a process that knows of nothing, and delivered again: nothing new."""
    put_transcripts(house.config)
    for _ in range(2):
        deliver_all(house)
        house.drain()
        house.read()
        with house.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM journal_cursors")
        house.open()
    assert differences(house.everything(), expected) == []


@pytest.mark.parametrize("version", ["1.0.128", "2.0.76", "2.1.80", "2.1.330"])
def test_cut_at_every_byte_of_the_last_line(another: Callable[[], House], version: str) -> None:
    """A transcript that ends anywhere in its last line is read up to that line, and later whole."""
    whole = another()
    put_transcripts(whole.config, version)
    whole.read()
    house = another()
    files = put_transcripts(house.config, version)
    contents = {path: path.read_bytes() for path in files}
    # The longest of each kind; the others are cut once in the middle of the line.
    longest = max(files, key=lambda path: path.stat().st_size)
    for path, content in contents.items():
        start = content.rstrip(b"\n").rfind(b"\n") + 1
        places = range(start, len(content)) if path == longest else [(start + len(content)) // 2]
        for place in places:
            path.write_bytes(content[:place])
            for journal in house.transcripts.changed(house.adapter, house.config):
                if journal.path == path:
                    list(house.transcripts.read(house.adapter, journal))
                    break
        path.write_bytes(content)
    house.open()
    house.read()
    assert differences(house.everything(), whole.everything()) == []


def test_a_rewritten_transcript_is_read_anew(house: House) -> None:
    """A file that was rewritten in place is read from its beginning, and what is the same stays as it was."""
    files = put_transcripts(house.config, "2.1.330")
    house.read()
    before = house.everything()
    path = max(files, key=lambda one: one.stat().st_size)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:10]))
    house.read()
    assert differences(house.everything(), before) == []
    path.unlink()
    path.write_bytes(b"".join(lines))
    house.read()
    assert differences(house.everything(), before) == []


def test_a_deleted_transcript_leaves_its_rows(house: House) -> None:
    """The client deletes transcripts after some weeks: what was read of them stays."""
    files = put_transcripts(house.config, "2.1.330")
    house.read()
    before, cursors = house.everything(), len(house.rows("journal_cursors"))
    files[0].unlink()
    house.read()
    assert differences(house.everything(), before) == []
    assert len(house.rows("journal_cursors")) == cursors - 1


def test_rows_refer_to_what_is_there(house: House) -> None:
    """An agent without its conversation, or a spawned one without a parent, cannot be stored."""
    put_transcripts(house.config)
    house.read()
    assert all((row["kind"] == "main") == (row["parent_agent_id"] is None) for row in house.rows("agents"))
    for statement in (
        "UPDATE agents SET parent_agent_id = NULL WHERE kind = 'spawned'",
        "UPDATE agents SET conversation_id = '00000000-0000-0000-0000-000000000000'",
        "UPDATE conversations SET identity_id = '00000000-0000-0000-0000-000000000000'",
        "UPDATE conversations SET identity_id = NULL",
        "UPDATE tool_calls SET agent_id = '00000000-0000-0000-0000-000000000000'",
    ):
        with pytest.raises(Exception, match=r"(?i)constraint|refuses"), house.database.write() as connection:
            connection.exec_driver_sql(statement)
