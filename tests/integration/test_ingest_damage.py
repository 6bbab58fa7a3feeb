"""A value that is damaged in a table of what agents did: nothing that journals say is lost for it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sessionlib.db.engine import Database
from sessionlib.sync.ingest import upkeep
from tests.shops import ONE, TWO, Shop

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Shop:
    """A house in which nothing was said yet."""
    return Shop(database, tmp_path)


def _execute(shop: Shop, *statement: object) -> None:
    with closing(sqlite3.connect(str(shop.database.url.database))) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        sql, *values = statement
        assert connection.execute(str(sql), values).rowcount > 0


@pytest.mark.parametrize(("table", "column"), [("conversations", "ended_at"), ("agents", "started_at")])
def test_what_is_told_waits_until_the_value_is_mended(
    shop: Shop, caplog: pytest.LogCaptureFixture, table: str, column: str
) -> None:
    """Lines and deliveries of its conversation stay where they are; those of another one are stored."""
    talks = [shop.talk(ONE), shop.talk(TWO)]
    for talk in talks:
        talk.says(1)
    shop.read()
    damaged = shop.conversation(ONE)["conversation_id"]
    was = shop.row(table, conversation_id=damaged)[column]
    change = f"UPDATE {table} SET {column} = ? WHERE conversation_id = ?"
    _execute(shop, change, "garbage", str(damaged))
    for number, talk in enumerate(talks):
        talk.says(1)
        shop.deliver(talk.payload("Stop"), number)
    shop.read()
    shop.drain()
    told = [getattr(record, "event", "") for record in caplog.records]
    assert {"journal.unreadable", "spool.unreadable"} <= set(told)
    assert "journal.refused" not in told
    assert len(shop.spool.names(9)) == 1
    assert not (shop.spool.folder / "dead").exists()
    _execute(shop, change, None if was is None else was.isoformat().replace("+00:00", "Z"), str(damaged))
    shop.deliveries.look_again()
    shop.read()
    shop.drain()
    assert shop.spool.names(9) == []
    usage = shop.rows("usage_records")
    assert sorted(row["conversation_id"] == damaged for row in usage) == [False, False, True, True]
    assert [row["event_type"] for row in shop.rows("agent_logs")].count("Stop") == 2


def test_the_usage_of_others_is_counted(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """Of those that wait to be counted only the damaged one is left, with a word about it."""
    talks = [shop.talk(f"conversation-{number}") for number in range(5)]
    for talk in talks:
        talk.says(1)
    shop.read()
    ids = [shop.conversation(f"conversation-{number}")["conversation_id"] for number in range(5)]
    project_id = shop.conversation("conversation-0")["project_id"]
    _execute(shop, "UPDATE conversations SET ended_at = 'garbage' WHERE conversation_id = ?", str(ids[1]))
    shop.ingester._uncounted = dict.fromkeys(ids, project_id)
    assert sum(upkeep.count_stored(shop.ingester)) >= 4
    assert shop.ingester.uncounted() == {}
    told = [
        record.fields for record in caplog.records if getattr(record, "event", "") == "tracking.uncounted"
    ]
    assert [fields["conversation"] for fields in told] == [str(ids[1])]
