"""`sessionctl logs --follow`: events as they are stored, each once; and what real transcripts come to."""

import argparse
import json
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from sessionlib.cli import following
from sessionlib.cli.context import Context
from sessionlib.cli.main import build_parser
from sessionlib.cli.options import GLOBAL_DEFAULTS
from sessionlib.db.engine import Database
from tests import deeds
from tests.ctl import Ctl, ctl_fixture  # noqa: F401 - a fixture
from tests.ingesting import House, put_transcripts
from tests.villages import Village, village


@pytest.fixture
def row(ctl: Ctl, mirror_database: Database) -> Village:
    """A village in the database of `ctl`."""
    assert ctl.home.exists()
    with mirror_database.write() as connection:
        return village(connection)


def _stream(*words: str) -> Any:
    """Return the lines of a call that follows a log."""
    options = build_parser().parse_args(["logs", *words, "--follow"], argparse.Namespace(**GLOBAL_DEFAULTS))
    return iter(options.run(Context(options)).stream)


def _key(entry: tuple[Any, str]) -> str:
    return str(entry[0]["cursor"].rsplit("|", 1)[1])


def test_events_are_printed_as_they_come(
    mirror_database: Database, row: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last ones first, then each new one once, also one that is stored late; old ones stay unsaid."""
    monkeypatch.setattr(following, "PAUSE", 0.01)
    stream = _stream("gate", "--limit", "1")
    assert _key(next(stream)) == "f"
    turns = iter([("g", 1.8), ("late", 1.795), ("too-late", 1.6), ("h", 1.8), ("i", 1.9)])

    def store(_: float) -> None:
        for key, at in islice(turns, 1):
            with mirror_database.write() as connection:
                deeds.write(connection, deeds.Deeds(logs=[deeds.log(row.main, key, at)]))

    monkeypatch.setattr(following.time, "sleep", store)
    assert [_key(next(stream)) for _ in range(4)] == ["g", "late", "h", "i"]
    stream.close()


def test_a_log_that_is_empty_is_followed_from_its_first_event(
    mirror_database: Database, row: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing to begin with, and all that comes is news."""

    def store(_: float) -> None:
        with mirror_database.write() as connection:
            deeds.write(connection, deeds.Deeds(logs=[deeds.log(row.ghost, "first", 0.1, detail=None)]))

    monkeypatch.setattr(following.time, "sleep", store)
    stream = _stream("--conversation", "lost")
    event, line = next(stream)
    assert (event["cursor"].rsplit("|", 1)[1], line.split()[2:]) == ("first", ["Explore", "PreToolUse"])
    stream.close()


@pytest.mark.usefixtures("row")
def test_as_a_process_it_ends_with_the_interrupt(ctl: Ctl) -> None:
    """Each event is a line of JSON at once, and Ctrl-C ends it without a trace."""
    program = Path(sys.executable).parent / "sessionctl"
    with subprocess.Popen(
        [program, "logs", "gate", "--follow", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ctl.home,
    ) as process:
        assert process.stdout is not None
        keys = [json.loads(process.stdout.readline())["cursor"].rsplit("|", 1)[1] for _ in range(2)]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert keys == ["e", "f"]
    assert "Traceback" not in errors
    assert process.returncode in {0, 130}


def test_what_transcripts_say_is_what_the_verbs_show(ctl: Ctl, mirror_database: Database) -> None:
    """Real transcripts, stored by the real ingest: conversations, agents, calls and cost fit together."""
    made = House(mirror_database, ctl.home / "journals")
    put_transcripts(made.config)
    made.read()
    conversations = ctl.json("conversations", "--limit", 500)
    agents = ctl.json("agents", "--limit", 5000)
    tools = ctl.json("tools", "--limit", 500)
    assert len(conversations) == len(made.rows("conversations")) > 3
    assert len(agents) == len(made.rows("agents")) > len(conversations)
    assert sum(row["agents"] for row in conversations) == len(agents)
    assert sum(row["calls"] for row in tools) == len(made.rows("tool_calls")) > 10
    (total,) = ctl.json("cost", "--by", "total")
    assert total["messages"] == len(made.rows("usage_records")) > 10
    for by in ("project", "model", "day", "identity", "agent-type", "conversation"):
        rows = ctl.json("cost", "--by", by, "--limit", 500)
        assert sum(row["messages"] for row in rows) == total["messages"], by
        assert sum(row["cost_usd"] or 0 for row in rows) == pytest.approx(total["cost_usd"])
    spawned = [row for row in agents if row["kind"] == "spawned"]
    assert spawned
    assert all(row["parent_agent_id"] and row["parent_source"] != "none" for row in spawned)
    longest = max(conversations, key=lambda row: row["messages"])
    events = ctl.json("logs", "--conversation", longest["native_id"], "--limit", 10000)
    stored = [
        row for row in made.rows("agent_logs") if str(row["conversation_id"]) == longest["conversation_id"]
    ]
    assert len(events) == len(stored) > 5
    assert len(ctl.json("query", "unlinked-conversations", "--limit", 500)) == len(conversations)
