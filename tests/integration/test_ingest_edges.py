"""What somebody else does to the database or the files while journals are read: nothing is lost by it."""

import logging
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from sessionlib.db import execution, moving_execution
from sessionlib.db.crud import projects
from sessionlib.db.engine import Database
from sessionlib.models import ProjectCreate
from sessionlib.models.base import utc_now
from sessionlib.sync.ingest import mending, transcripts, upkeep
from tests.shops import NOON, ONE, TWO, Shop
from tests.talks import total

IDLE = timedelta(hours=6)


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Shop:
    """An empty shop, on each database."""
    return Shop(database, tmp_path)


def tokens(shop: Shop) -> int:
    """Return how many tokens of output are stored."""
    found: int = total(shop.rows("usage_records"), "output_tokens")
    return found


def execute(shop: Shop, *statements: str) -> None:
    """Change the database as somebody else would."""
    with shop.database.write() as connection:
        for statement in statements:
            connection.execute(text(statement))


def copy(source: Path, target: Path) -> None:
    """Copy a SQLite database into a file, which stays the same file."""
    with sqlite3.connect(source) as one, sqlite3.connect(target) as other:
        one.backup(other)
    one.close()
    other.close()


# --- cursors that are not what they were ---------------------------------------------------------------


@pytest.mark.parametrize("grows", [True, False])
def test_a_database_brought_back_from_a_copy(sqlite_url: str, tmp_path: Path, *, grows: bool) -> None:
    """What was read since the copy was made is read again, whether or not its journal grows any more."""
    with_copy = Shop(Database(sqlite_url), tmp_path)
    file = Path(str(with_copy.database.url.database))
    talk = with_copy.talk().says(1)
    other = with_copy.talk(TWO)
    with_copy.read()
    copy(file, tmp_path / "copy.db")
    talk.says(2)
    other.says(8)
    with_copy.read()
    assert tokens(with_copy) == 11
    copy(tmp_path / "copy.db", file)
    if grows:
        talk.says(4)
    else:
        with_copy.transcripts.refresh()
    with_copy.read()
    assert tokens(with_copy) == (15 if grows else 11)
    assert list(with_copy.transcripts.changed(with_copy.adapter, with_copy.config)) == []
    with_copy.database.close()


@pytest.mark.parametrize("what", ["DELETE FROM journal_cursors", "UPDATE journal_cursors SET position = 0"])
def test_cursors_that_somebody_changed(shop: Shop, what: str) -> None:
    """A portion that was read on from elsewhere is not stored; it is read on from where the database says."""
    talk = shop.talk().says(1)
    shop.read()
    execute(shop, "DELETE FROM conversations", what)
    talk.says(2)
    shop.read()
    assert tokens(shop) == 3
    loads = shop.transcripts.loads
    shop.transcripts.refresh()
    assert shop.transcripts.loads == loads


def test_cursors_changed_while_a_long_journal_is_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two portions of one journal as well."""
    monkeypatch.setattr(transcripts, "PORTION", 4096)
    talk = shop.talk()
    for _ in range(60):
        talk.says(1)
    (journal,) = shop.transcripts.changed(shop.adapter, shop.config)
    reading = shop.transcripts.read(shop.adapter, journal)
    next(reading)
    next(reading)
    execute(shop, "DELETE FROM conversations", "DELETE FROM journal_cursors")
    assert list(reading)
    assert tokens(shop) == 60


def test_our_own_marks_are_no_journals(shop: Shop) -> None:
    """They are not compared with what was read, and are not dropped as journals that are gone."""
    shop.talk().says(1)
    shop.read()
    list(upkeep.price_anew(shop.database, shop.ingester, shop.host.host_id, "1"))
    upkeep.note_settled(shop.ingester, shop.host.host_id, NOON)
    loads = shop.transcripts.loads
    shop.transcripts.refresh()
    assert shop.transcripts.loads == loads
    assert mending.drop_gone(shop.database, shop.host.host_id) == 0
    assert upkeep.settled_until(shop.database, shop.host.host_id) == NOON


def test_a_removed_project_does_not_come_back_by_what_was_read(shop: Shop) -> None:
    """Its transcripts are not read again, only on: what its agents do from then on brings it back."""
    talk = shop.talk().says(1)
    shop.read()
    project_id = shop.conversation()["project_id"]
    with shop.database.write() as connection:
        projects.remove(connection, project_id)
    shop.transcripts.refresh()
    shop.read()
    shop.open()
    shop.read()
    assert shop.rows("projects") == []
    talk.says(2)
    shop.read()
    assert len(shop.rows("projects")) == 1
    assert tokens(shop) == 2


# --- what cannot be stored or read ---------------------------------------------------------------------


def refuse_calls_of(shop: Shop, name: str) -> None:
    """Let the database refuse calls of one tool."""
    if shop.database.is_postgres:
        execute(shop, f"ALTER TABLE tool_calls ADD CONSTRAINT refused CHECK (tool_name <> '{name}')")
    else:
        execute(
            shop,
            f"CREATE TRIGGER refused BEFORE INSERT ON tool_calls WHEN NEW.tool_name = '{name}' "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END",
        )


def test_only_the_lines_that_are_refused_are_passed_over(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """Those before, between and after them are stored, and the cursor and the log tell how many were not."""
    refuse_calls_of(shop, "Poison")
    talk = shop.talk()
    for number in range(20):
        talk.says(1).calls(f"t{number}", "Poison" if number in (3, 17) else "Bash", {"n": number})
    with caplog.at_level(logging.ERROR, "sessionlib.ingest"):
        shop.read()
    assert tokens(shop) == 20
    found = {row["tool_use_id"] for row in shop.rows("tool_calls")}
    assert found == {f"t{number}" for number in range(20)} - {"t3", "t17"}
    (cursor,) = shop.rows("journal_cursors")
    assert cursor["problem"].startswith("lines refused: 2; ")
    assert cursor["position"] == talk.path.stat().st_size
    (record,) = (record for record in caplog.records if vars(record).get("event") == "journal.refused")
    assert vars(record)["fields"]["lines"] == 2
    talk.says(1)
    shop.read()
    assert tokens(shop) == 21
    assert shop.rows("journal_cursors")[0]["problem"].startswith("lines refused: 2; ")


def test_a_portion_that_is_refused_line_by_line_is_given_up(shop: Shop) -> None:
    """Of a file full of what is refused not each line is tried; the next one is read all the same."""
    refuse_calls_of(shop, "Poison")
    talk = shop.talk().says(1)
    for number in range(300):
        talk.calls(f"t{number}", "Poison", {})
    talk.says(2)
    shop.talk(TWO).says(4)
    shop.read()
    assert tokens(shop) == 5
    problem = shop.rows("journal_cursors")[0]["problem"]
    assert problem.startswith("lines refused: 30")
    assert list(shop.transcripts.changed(shop.adapter, shop.config)) == []


def test_a_line_that_is_too_long_is_passed_over(shop: Shop) -> None:
    """The cursor says so, also when more was read after it."""
    talk = shop.talk().says(1)
    talk.write(talk.record("user", message={"content": "x" * (17 * 1024 * 1024)}))
    talk.says(2)
    shop.read()
    talk.says(4)
    shop.read()
    assert tokens(shop) == 7
    assert shop.rows("journal_cursors")[0]["problem"] == "lines too long: 1"


@pytest.mark.parametrize("how", ["link", "mode"])
def test_a_small_file_that_cannot_be_read_is_not_tried_for_ever(shop: Shop, how: str) -> None:
    """Its journal is unchanged until the small file is; then it is read."""
    if how == "mode" and os.geteuid() == 0:
        pytest.skip("root may read everything")
    talk = shop.talk().says(1).says(1, agent="helper")
    beside = talk.path_of("helper").with_suffix(".meta.json")
    content = '{"agentType": "Explore"}'
    if how == "link":
        beside.symlink_to(beside.name)
    else:
        beside.write_text(content)
        beside.chmod(0)
    shop.read()
    assert list(shop.transcripts.changed(shop.adapter, shop.config)) == []
    assert shop.row("agents", native_id="helper")["agent_type"] is None
    if how == "link":
        seen = beside.lstat()
        os.utime(beside, ns=(seen.st_atime_ns, seen.st_mtime_ns), follow_symlinks=False)
        assert len(list(shop.transcripts.changed(shop.adapter, shop.config))) == 1  # as after a chmod
        beside.unlink()
        beside.write_text(content)
    else:
        beside.chmod(0o600)
    shop.read()
    assert shop.row("agents", native_id="helper")["agent_type"] == "Explore"
    assert list(shop.transcripts.changed(shop.adapter, shop.config)) == []


def test_deliveries_are_stored_in_turns_as_large_as_is_asked_for(shop: Shop) -> None:
    """While others wait for the database, a turn is a few of them."""
    talk = shop.talk()
    for number in range(7):
        shop.deliver(talk.payload("PreToolUse", tool_name="Bash", tool_use_id=f"t{number}"), number)
    assert [shop.deliveries.drain(3).stored for _ in range(3)] == [3, 3, 1]


def test_old_events_go_in_small_transactions(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest first, all that are older than a time, and none that is not."""
    monkeypatch.setattr(upkeep, "_OLD_FIRST", 4)
    monkeypatch.setattr(upkeep, "_OLD_MOST", 4)
    for native_id in (ONE, TWO):
        talk = shop.talk(native_id)
        for number in range(7):
            shop.deliver(talk.payload("PreToolUse", tool_name="Bash", tool_use_id=f"t{number}"), number)
    shop.drain()
    before = sorted(row["at"] for row in shop.rows("agent_logs"))[10]
    assert list(upkeep.drop_old_logs(shop.database, before)) == [4, 4, 2]
    assert [row["at"] >= before for row in shop.rows("agent_logs")] == [True] * 4


# --- processes, merges ---------------------------------------------------------------------------------


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has begun just now."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as made:
        yield made


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process began")
def test_a_process_that_began_after_a_conversation_is_not_its_own(
    shop: Shop, process: subprocess.Popen[bytes]
) -> None:
    """With the id of a process that is gone it keeps nothing open; the real one does, however long."""
    for native_id, before in ((ONE, timedelta(hours=1)), (TWO, timedelta(0))):
        at = utc_now() - before
        number = round((at - NOON).total_seconds() * 1000)
        talk = shop.talk(native_id)
        shop.hear(talk, "UserPromptSubmit", number, prompt="go", context={"CLAUDE_PID": str(process.pid)})
    tomorrow = utc_now() + timedelta(days=1)
    closed = upkeep.close_abandoned(shop.database, shop.ingester, shop.host.host_id, now=tomorrow, idle=IDLE)
    assert sum(closed) == 1
    assert [shop.conversation(one)["status"] for one in (ONE, TWO)] == ["abandoned", "active"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process began")
def test_when_a_process_began(process: subprocess.Popen[bytes]) -> None:
    """To a fraction of a second for a child; nothing for one that is gone."""
    began = upkeep.began_at(process.pid)
    assert began is not None
    assert abs(utc_now() - began) < timedelta(seconds=30)
    process.communicate()
    assert upkeep.began_at(process.pid) is None


@pytest.mark.postgres
def test_a_conversation_that_moves_while_its_project_is_locked(postgres_url: str, tmp_path: Path) -> None:
    """Who waited for the lock of the project it has left waits for that of the project it came to."""
    database = Database(postgres_url)
    shop = Shop(database, tmp_path)
    talk = shop.talk()
    shop.hear(talk, "UserPromptSubmit", 0, prompt="go")
    source = shop.conversation()["project_id"]
    with database.write() as connection:
        target = projects.create(
            connection, ProjectCreate(slug="target", name="target", minted_from="target:1")
        ).project_id
    shop.deliver(talk.payload("Stop"), 1)
    waiting = threading.Thread(target=shop.drain)
    with database.write() as other:
        execution.lock_projects(other, [target])
        with database.write() as merging:
            execution.lock_projects(merging, [source])
            moving_execution.copy_execution(merging, source, target, {})
            projects.remove(merging, source)
            waiting.start()
            waiting.join(0.5)
            assert waiting.is_alive()
        waiting.join(1.0)
        assert waiting.is_alive()
    waiting.join(10.0)
    assert not waiting.is_alive()
    assert {row["project_id"] for row in shop.rows("agent_logs")} == {target}
    assert len(shop.rows("agent_logs")) == 2
    database.close()


def test_what_refuses_a_batch_is_no_reason_to_try_for_ever(shop: Shop) -> None:
    """Also where cursors change again and again while a journal is read, a look ends."""
    talk = shop.talk().says(1)
    shop.read()
    talk.says(2)
    real = shop.ingester.store

    def raced(*given: Any, **more: Any) -> Any:
        execute(shop, "UPDATE journal_cursors SET position = position + 1")
        return real(*given, **more)

    shop.ingester.store = raced  # type: ignore[method-assign]
    (journal,) = shop.transcripts.changed(shop.adapter, shop.config)
    assert list(shop.transcripts.read(shop.adapter, journal)) == []
