"""A client that changes what its hooks say is found out, on both databases; a canary leaves no row."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sessionlib.db.engine import Database
from sessionlib.journal import canary
from tests.ingesting import COMPARED, House, payloads
from tests.talks import Talk

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def house(mirror_database: Database, tmp_path: Path) -> House:
    """Ingest into an empty database."""
    return House(mirror_database, tmp_path)


@pytest.fixture
def talk(house: House, tmp_path: Path) -> Talk:
    """A conversation of which nothing is said yet."""
    folder = tmp_path / "shop"
    folder.mkdir()
    return Talk(house.config, folder, "conversation-one", NOON)


def drifts(house: House) -> list[str]:
    return [row["subject"] for row in house.rows("findings") if row["kind"] == "contract-drift"]


def renamed(talk: Talk, event: str = "PreToolUse") -> bytes:
    """Return an event whose tool_use_id got another name."""
    return talk.payload(event, tool_name="Bash", tool_input={}, call_id="t1")


def test_a_renamed_field_is_a_finding(house: House, talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    """Of the conversation's project, told in the log once, and seen again when it comes again."""
    talk.says()
    house.read()
    with caplog.at_level(logging.WARNING, "sessionlib.ingest"):
        house.deliver(renamed(talk), 1)
        house.drain()
        (first,) = house.rows("findings")
        house.deliver(renamed(talk), 2)
        house.drain()
    (again,) = house.rows("findings")
    assert (first["kind"], first["subject"]) == ("contract-drift", "claude-code PreToolUse.tool_use_id")
    assert first["message"] == (
        "claude-code 2.1.330 said PreToolUse without tool_use_id, and what it tells is not recorded"
    )
    assert first["project_id"] == house.row("conversations")["project_id"]
    assert again["first_seen_at"] == first["first_seen_at"] <= first["last_seen_at"] < again["last_seen_at"]
    assert [record.getMessage() for record in caplog.records] == ["the client has changed what its hooks say"]


def test_the_version_may_be_told_later(house: House, talk: Talk) -> None:
    """Hooks come before the transcript that tells of which version they are."""
    house.deliver(renamed(talk), 1)
    house.drain()
    assert drifts(house) == []
    talk.says()
    house.read()
    assert drifts(house) == ["claude-code PreToolUse.tool_use_id"]


def test_an_old_client_has_always_been_so(house: House, talk: Talk) -> None:
    """Before 2.0.43 no call had an id."""
    house.deliver(renamed(talk), 1)
    talk.write(talk.record("assistant", version="1.0.128", message={"id": "m", "content": []}))
    house.drain()
    house.read()
    house.deliver(renamed(talk), 2)
    house.drain()
    assert house.row("conversations")["client_version"] == "1.0.128"
    assert drifts(house) == []


def test_real_payloads_are_no_drift(house: House) -> None:
    """Those of which the client is known to be new, too."""
    for number, body in enumerate(payloads()):
        house.deliver(body, number)
    house.drain()
    assert len(house.rows("agent_logs")) > 40
    assert house.rows("findings") == []


def test_what_is_stored_does_not_depend_on_the_order(house: House, talk: Talk, tmp_path: Path) -> None:
    """Observations of missing fields are joined as all others are."""
    talk.says()
    bodies = [renamed(talk), renamed(talk, "PostToolUse"), talk.payload("SessionEnd")]
    for number, body in enumerate(bodies):
        house.deliver(body, number)
    house.drain()
    house.read()
    before = house.rows("conversations")
    for number, body in reversed(list(enumerate(bodies))):
        house.deliver(body, number)
        house.drain()
    assert house.rows("conversations") == before
    assert sorted(drifts(house)) == [
        "claude-code PostToolUse.tool_response",
        "claude-code PostToolUse.tool_use_id",
        "claude-code PreToolUse.tool_use_id",
        "claude-code SessionEnd.reason",
    ]


def test_a_canary_leaves_no_row(house: House, talk: Talk) -> None:
    """It is taken from the spool and counted, beside deliveries that are stored as ever."""
    house.deliver(canary.song(canary.hatch(), "/home/ann"), 1, "Stop")
    house.deliver(talk.payload("Stop"), 2)
    house.deliver(canary.song(canary.hatch(), "/home/ann"), 3, "Stop")
    done = house.deliveries.drain()
    assert (done.stored, done.buried, house.spool.names(10)) == (3, 0, [])
    assert [row["native_id"] for row in house.rows("conversations")] == ["conversation-one"]
    assert len(house.rows("agent_logs")) == 1


def test_a_canary_alone_leaves_nothing_at_all(house: House) -> None:
    """Not even a project of those that nobody knows."""
    native_id = canary.hatch()
    assert json.loads(canary.song(native_id, "/"))["session_id"] == native_id
    house.deliver(canary.song(native_id, "/nowhere/at/all"))
    assert house.drain() == 1
    assert not any(house.rows(table.name) for table in COMPARED)
    assert house.rows("projects") == []
