"""Reading is interrupted, journals are long, and lines are odd: nothing that can be read is left out."""

import errno
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sessionlib.db.engine import Database
from sessionlib.errors import DatabaseBusyError
from sessionlib.sync.ingest import transcripts
from tests.shops import NOON, ONE, TWO, Shop
from tests.talks import Talk, total


@pytest.fixture
def shop(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """An empty shop, on each database, in which transcripts are read in small portions."""
    monkeypatch.setattr(transcripts, "PORTION", 4096)
    return Shop(database, tmp_path)


def long_talk(shop: Shop, native_id: str = ONE) -> Talk:
    """Write a conversation of several portions."""
    talk = shop.talk(native_id)
    for _ in range(60):
        talk.says(1)
    return talk


@pytest.mark.parametrize("new_process", [True, False])
def test_reading_that_was_interrupted_goes_on(shop: Shop, *, new_process: bool) -> None:
    """After the first portion of a file that never grows again, the rest is read by the next look."""
    long_talk(shop)
    (journal,) = shop.transcripts.changed(shop.adapter, shop.config)
    next(shop.transcripts.read(shop.adapter, journal))
    assert 0 < len(shop.rows("usage_records")) < 60
    if new_process:
        shop.open()
    shop.read()
    assert len(shop.rows("usage_records")) == 60
    assert list(shop.transcripts.changed(shop.adapter, shop.config)) == []


def test_a_database_that_fails_in_between_loses_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error between two portions is raised, and what was not stored is read again."""
    long_talk(shop)
    (journal,) = shop.transcripts.changed(shop.adapter, shop.config)
    reading = shop.transcripts.read(shop.adapter, journal)
    next(reading)
    with monkeypatch.context() as broken:

        def refuse(*_: Any, **__: Any) -> None:
            raise DatabaseBusyError("busy")

        broken.setattr(shop.ingester, "store", refuse)
        with pytest.raises(DatabaseBusyError):
            next(reading)
    shop.read()
    assert len(shop.rows("usage_records")) == 60


def test_a_fork_that_begins_with_much_is_read(shop: Shop) -> None:
    """Portions that hold copies alone are passed, and the fork knows in the end what it was forked from."""
    first = long_talk(shop)
    fork = shop.talk(TWO, NOON + timedelta(hours=1))
    copies = [json.loads(line) for line in first.path.read_text().splitlines()]
    fork.write(*({**copy, "sessionId": TWO, "requestSessionId": ONE} for copy in copies))
    fork.write({"type": "custom-title", "customTitle": "Forked", "sessionId": TWO})
    shop.read()
    assert list(shop.transcripts.changed(shop.adapter, shop.config)) == []
    fork.says(7)
    shop.open()
    shop.read()
    row = shop.conversation(TWO)
    assert (row["forked_from"], row["title"]) == (ONE, "Forked")
    assert total(shop.rows("usage_records"), "output_tokens") == 67


def test_half_a_character_is_no_reason_to_leave_a_line_out(shop: Shop) -> None:
    """Programs cut texts inside a character, and write what is left of it."""
    talk = shop.talk().says(1)
    whole = json.dumps(
        talk.record("assistant", message={"id": "m2", "model": "x", "usage": {"output_tokens": 5}})
    )
    with talk.path.open("a") as file:
        file.write(whole.replace('"model"', '"note": "\\ud83d", "model"') + "\n")
    shop.read()
    assert total(shop.rows("usage_records"), "output_tokens") == 6
    body = talk.payload("PreToolUse", tool_name="Bash", tool_use_id="t1").replace(b'"Bash"', b'"Ba\\ud83dsh"')
    shop.deliver(body, 1)
    shop.drain()
    assert [row["tool_name"] for row in shop.rows("tool_calls")] == ["Ba?sh"]


ODD: list[dict[str, Any]] = [
    {"type": "cost-state", "modelUsage": {"x": {"costUSD": True}}},
    {"type": "cost-state", "modelUsage": {"x": {"costUSD": 1e300}, "y": 7}},
    {"type": "user", "uuid": "u", "timestamp": "0001-01-01T00:00:00+01:00"},
    {"type": "user", "uuid": "u", "timestamp": "9999-12-31T23:59:59-01:00"},
    {
        "type": "assistant",
        "uuid": "u\0",
        "timestamp": "2026-01-01T00:00:00Z",
        "message": {"content": [{}, 7]},
    },
    {
        "type": "assistant",
        "timestamp": "2026-01-01T00:00:00Z",
        "message": {"id": "m\0", "model": "\0", "usage": {"output_tokens": 2}},
    },
    {
        "type": "assistant",
        "timestamp": "2026-01-01T00:00:00Z",
        "message": {"content": [{"type": "tool_use", "id": "t\0", "name": "\0", "input": None}]},
    },
]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_an_odd_line_keeps_no_other_one_out(shop: Shop, odd: dict[str, Any]) -> None:
    """Whatever stands between them, the lines before and after it are stored, and so are other files."""
    talk = shop.talk().says(1).write(odd).says(2)
    shop.talk(TWO).says(4)
    shop.read()
    known = [row for row in shop.rows("usage_records") if row["model"].startswith("claude")]
    assert total(known, "output_tokens") == 7
    assert list(shop.transcripts.changed(shop.adapter, shop.config)) == []
    assert talk.path.exists()


def test_an_odd_delivery_keeps_no_other_one_waiting(shop: Shop) -> None:
    """A number that is none in the environment, and a fault in reading what a delivery says."""
    talk = shop.talk()
    shop.deliver(talk.payload("Stop"), 1, CLAUDE_PID="²")
    shop.deliver(talk.payload("Notification"), 2)
    assert shop.drain() == 2
    assert len(shop.rows("agent_logs")) == 2


def test_without_descriptors_deliveries_wait(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be opened now is not put aside for ever."""
    shop.deliver(shop.talk().payload("Stop"), 1)
    with monkeypatch.context() as exhausted:

        def refuse(*_: Any, **__: Any) -> int:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        exhausted.setattr(os, "open", refuse)
        with pytest.raises(OSError, match="open files"):
            shop.drain()
    assert not (shop.spool.folder / "dead").exists()
    assert shop.drain() == 1
    assert len(shop.rows("agent_logs")) == 1


def stuck(monkeypatch: pytest.MonkeyPatch, names: set[str]) -> None:
    """Let no file with one of these names be removed."""
    plain = Path.unlink

    def unlink(path: Path, *, missing_ok: bool = False) -> None:
        if path.name in names:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        plain(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)


def test_a_delivery_that_cannot_be_removed_keeps_no_other_one_waiting(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one without a body nor one that is stored; each is counted, or stored, once at last."""
    talk = shop.talk()
    shop.deliver(b"", 1, cut="0")
    shop.deliver(talk.payload("Notification"), 2)
    first_two = set(shop.spool.names(9))
    shop.deliver(talk.payload("Stop"), 3)
    with monkeypatch.context() as broken:
        stuck(broken, first_two)
        assert shop.drain() == 1
        assert set(shop.spool.names(9)) == first_two
        shop.deliveries.look_again()
        assert shop.drain() == 0
    assert shop.spool.dropped() == 0
    shop.deliveries.look_again()
    assert shop.drain() == 1
    assert shop.spool.names(9) == []
    assert shop.spool.dropped() == 1
    assert len(shop.rows("agent_logs")) == 2


def test_a_clock_that_jumped_does_not_close_what_goes_on(shop: Shop) -> None:
    """A look that was made far in the future is forgotten with the next activity."""
    talk = shop.talk()
    shop.hear(talk, "UserPromptSubmit", 0, prompt="go")
    shop.sweep(NOON + timedelta(days=400))
    assert shop.conversation()["status"] == "abandoned"
    shop.hear(talk, "UserPromptSubmit", 60_000, prompt="go on")
    assert shop.conversation()["status"] == "active"
