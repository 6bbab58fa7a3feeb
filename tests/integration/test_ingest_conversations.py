"""Conversations and agents stand as what was seen of them says, whichever source said it and when."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from sessionlib.db.crud import projects
from sessionlib.db.engine import Database
from tests.ingesting import House
from tests.shops import NOON, ONE, TWO, Shop

HOUR_MS = 3_600_000


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Shop:
    """An empty shop, on each database."""
    return Shop(database, tmp_path)


def test_the_client_says_that_it_ends(shop: Shop) -> None:
    """An end that was said is no estimate; a tool of another time does not undo it."""
    talk = shop.talk()
    shop.hear(talk, "SessionEnd", 5000, reason="prompt_input_exit")
    shop.hear(talk, "SessionStart", 0, source="startup")
    shop.hear(talk, "UserPromptSubmit", 1000, prompt="go")
    row = shop.conversation()
    assert (row["status"], row["end_reason"], row["end_estimated"]) == ("ended", "prompt_input_exit", False)
    assert row["ended_at"] - row["started_at"] == timedelta(seconds=5)
    assert shop.row("agents", kind="main")["status"] == "complete"


def test_a_resumed_conversation_is_active_again(shop: Shop) -> None:
    """Same row, no end; it ends again later."""
    talk = shop.talk()
    shop.hear(talk, "SessionStart", 0, source="startup")
    shop.hear(talk, "SessionEnd", 5000, reason="other")
    shop.hear(talk, "SessionStart", HOUR_MS, source="resume")
    row = shop.conversation()
    assert (row["status"], row["ended_at"], row["end_reason"]) == ("active", None, None)
    starts = [one for one in shop.rows("agent_logs") if one["event_type"] == "SessionStart"]
    assert sorted(one["detail"] for one in starts) == ["resume", "startup"]
    shop.hear(talk, "SessionEnd", 2 * HOUR_MS, reason="logout")
    assert shop.conversation()["end_reason"] == "logout"


def test_a_compaction_is_no_new_conversation(shop: Shop) -> None:
    """It goes on under its id, and the agent that compaction makes up never was."""
    talk = shop.talk()
    shop.hear(talk, "SessionStart", 0, source="startup")
    shop.hear(talk, "PreCompact", 1000, trigger="auto")
    shop.hear(talk, "SubagentStop", 1100, agent_id="ghost", agent_type="", agent_transcript_path="/none")
    shop.hear(talk, "SessionStart", 1200, source="compact")
    assert shop.conversation()["status"] == "active"
    assert [row["kind"] for row in shop.rows("agents")] == ["main"]


def test_a_silent_conversation_of_a_dead_process_is_abandoned(shop: Shop) -> None:
    """Its end is its last activity, and an estimate; one that goes on is taken up again."""
    talk = shop.talk()
    shop.hear(talk, "UserPromptSubmit", 0, prompt="go", context={"CLAUDE_PID": "4711"})
    shop.hear(talk, "PreToolUse", 1000, tool_name="Bash", tool_use_id="t1", context={"CLAUDE_PID": "4711"})
    assert shop.sweep(NOON + timedelta(minutes=2)) == 0
    assert shop.sweep(NOON + timedelta(hours=9), alive=lambda pid: pid == 4711) == 0
    assert shop.sweep(NOON + timedelta(minutes=10)) == 1
    row = shop.conversation()
    assert (row["status"], row["end_estimated"]) == ("abandoned", True)
    assert row["ended_at"] == NOON + timedelta(seconds=1)
    assert shop.row("agents", kind="main")["status"] == "interrupted"
    assert shop.sweep(NOON + timedelta(minutes=20)) == 0
    shop.hear(talk, "UserPromptSubmit", HOUR_MS, prompt="go on")
    assert shop.conversation()["status"] == "active"
    assert shop.row("agents", kind="main")["status"] == "running"


def test_without_a_known_process_only_a_long_silence_counts(shop: Shop) -> None:
    """A transcript tells of no process."""
    shop.talk().says(1)
    shop.read()
    assert shop.sweep(NOON + timedelta(hours=5)) == 0
    assert shop.sweep(NOON + timedelta(hours=7)) == 1
    assert shop.conversation()["status"] == "abandoned"


def test_a_phantom_start_beside_the_real_one(shop: Shop) -> None:
    """Resuming can start a conversation that never is one: same process, nothing done."""
    phantom, real = shop.talk(ONE), shop.talk(TWO)
    for talk, source in ((phantom, "startup"), (real, "resume")):
        shop.hear(talk, "SessionStart", 0, source=source, context={"CLAUDE_PID": "4711"})
    shop.hear(real, "UserPromptSubmit", 500, prompt="go", context={"CLAUDE_PID": "4711"})
    shop.sweep(NOON + timedelta(minutes=2), alive=lambda _: True)
    assert shop.conversation(ONE)["status"] == "phantom"
    assert shop.conversation(TWO)["status"] == "active"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_parent_is_only_ever_better_known(shop: Shop, order: tuple[int, ...]) -> None:
    """Assumed from a hook, told by a result, known from the small file: the best stays."""
    talk = shop.talk().says(1)
    shop.read()
    talk.says(1, agent="outer")
    talk.says(1, agent="inner")
    answer = {"status": "completed", "agentId": "inner", "agentType": "scout"}

    def by_hook() -> None:
        shop.hear(talk, "SubagentStart", 100, agent_id="inner", agent_type="scout")

    def by_result() -> None:
        given = {"description": "look", "subagent_type": "scout"}
        shop.hear(
            talk,
            "PostToolUse",
            200,
            tool_name="Agent",
            tool_use_id="t1",
            tool_input=given,
            tool_response=answer,
        )

    def by_meta() -> None:
        meta = {"agentType": "scout", "toolUseId": "t1", "parentAgentId": "outer", "description": "look"}
        talk.path_of("inner").with_suffix(".meta.json").write_text(json.dumps(meta))
        shop.read()

    steps = [by_hook, by_result, by_meta]
    for step in order:
        steps[step]()
    rows = {row["native_id"]: row for row in shop.rows("agents")}
    assert rows["inner"]["parent_agent_id"] == rows["outer"]["agent_id"]
    assert (rows["inner"]["parent_source"], rows["inner"]["spawned_by"]) == ("meta", "t1")
    assert rows["outer"]["parent_agent_id"] == rows[""]["agent_id"]
    assert rows["outer"]["parent_source"] == "assumed"


def test_failed_means_failed(shop: Shop) -> None:
    """An agent that ends in an error of the service has failed, and says why; not if it tried again."""
    talk = shop.talk().says(1)
    for agent in ("lost", "found"):
        error = {"content": [{"type": "text", "text": "API Error: 529 overloaded"}], "model": "<synthetic>"}
        record = talk.record("assistant", agent, message=error, isApiErrorMessage=True)
        talk.write(record, agent=agent)
    talk.later(minutes=1).says(1, agent="found")
    shop.read()
    rows = {row["native_id"]: row for row in shop.rows("agents")}
    assert (rows["lost"]["status"], rows["lost"]["error"]) == ("failed", "API Error: 529 overloaded")
    assert (rows["found"]["status"], rows["found"]["error"]) == ("running", None)


def test_a_failed_turn_is_the_main_agents(shop: Shop) -> None:
    """It has failed until it works again."""
    talk = shop.talk()
    shop.hear(talk, "UserPromptSubmit", 0, prompt="go")
    shop.hear(talk, "StopFailure", 1000, error="rate_limit", error_details="429 slow down")
    main = shop.row("agents", kind="main")
    assert (main["status"], main["error"]) == ("failed", "429 slow down")
    shop.hear(talk, "SessionEnd", HOUR_MS, reason="other")
    assert shop.row("agents", kind="main")["status"] == "failed"
    shop.hear(talk, "UserPromptSubmit", 2 * HOUR_MS, prompt="again")
    assert shop.row("agents", kind="main")["status"] == "running"


def test_agents_that_nobody_ended_end_with_their_conversation(shop: Shop) -> None:
    """A killed client leaves open agents: interrupted, when they were last seen, by an estimate."""
    talk = shop.talk().says(1).says(1, agent="helper")
    last = talk.at
    shop.read()
    assert shop.row("agents", native_id="helper")["status"] == "running"
    shop.hear(talk, "SessionStart", HOUR_MS, source="resume")
    row = shop.row("agents", native_id="helper")
    assert (row["status"], row["ended_at"], row["end_estimated"]) == ("interrupted", last, True)
    assert shop.row("agents", kind="main")["status"] == "running"


def test_a_fork_counts_nothing_twice(shop: Shop) -> None:
    """What a fork has copied belongs to the conversation it was forked from; the fork knows which."""
    first = shop.talk(ONE)
    first.calls("t1", "Bash", {"command": "ls"}).gets("t1", "files").says(7)
    fork = shop.talk(TWO, NOON + timedelta(hours=1))
    copies = [json.loads(line) for line in first.path.read_text().splitlines()]
    for copy in copies:
        copy["sessionId"] = TWO
        if copy["type"] == "assistant":
            copy["requestSessionId"] = ONE
            copy["message"]["usage"] = {"input_tokens": 0, "output_tokens": 0}
    fork.write(*copies).says(5)
    shop.read()
    assert shop.conversation(TWO)["forked_from"] == ONE
    by_conversation = {
        row["conversation_id"]: row["output_tokens"]
        for row in shop.rows("usage_records")
        if row["output_tokens"]
    }
    assert by_conversation == {
        shop.conversation(ONE)["conversation_id"]: 7,
        shop.conversation(TWO)["conversation_id"]: 5,
    }
    assert len(shop.rows("tool_calls")) == 1


def test_the_ledger_knows_better(shop: Shop) -> None:
    """What the client was charged beyond its responses is kept beside them, once however often it is read."""
    talk = shop.talk().says(10).spent(claude_sonnet_4_5=0.5)
    shop.read()
    rows = {row["source"]: row for row in shop.rows("usage_totals")}
    assert float(rows["messages"]["cost_usd"]) == 0.00001
    assert float(rows["client"]["cost_usd"]) == 0.49999
    talk.later(hours=1).says(10)
    shop.read()
    total = sum(float(row["cost_usd"]) for row in shop.rows("usage_totals"))
    assert total == pytest.approx(0.5)
    talk.spent(claude_sonnet_4_5=0.9)
    shop.read()
    assert sum(float(row["cost_usd"]) for row in shop.rows("usage_totals")) == pytest.approx(0.9)


def test_calls_that_were_refused_are_closed(shop: Shop) -> None:
    """Of a denied call only the batch tells; of a good one the batch tells, too, and must not deny it."""
    talk = shop.talk()
    batch = [
        {"tool_name": "Bash", "tool_input": {}, "tool_use_id": name, "tool_response": "x"}
        for name in ("good", "denied")
    ]
    shop.hear(talk, "PostToolBatch", 30, tool_calls=batch)
    shop.hear(talk, "PostToolUse", 20, tool_name="Bash", tool_use_id="good", tool_response={}, duration_ms=7)
    shop.hear(talk, "PreToolUse", 10, tool_name="mcp__docs__find", tool_use_id="open")
    calls = {row["tool_use_id"]: row for row in shop.rows("tool_calls")}
    assert {name: row["outcome"] for name, row in calls.items()} == {
        "good": "ok",
        "denied": "denied",
        "open": "open",
    }
    assert calls["good"]["duration_ms"] == 7
    assert calls["denied"]["duration_ms"] is None
    assert (calls["open"]["server"], calls["open"]["tool_name"]) == ("docs", "find")


def test_todos_are_never_deleted_by_absence(shop: Shop) -> None:
    """An item that a later list leaves out stays; the latest word on each counts."""
    talk = shop.talk()

    def listed(number: int, **items: str) -> None:
        given = {"todos": [{"content": name, "status": status} for name, status in items.items()]}
        shop.hear(
            talk,
            "PostToolUse",
            number,
            tool_name="TodoWrite",
            tool_use_id=f"t{number}",
            tool_input=given,
            tool_response={},
        )

    listed(2000, dig="completed")
    listed(1000, dig="in_progress", sow="pending")
    found = {row["content"]: row["status"] for row in shop.rows("todos")}
    assert found == {"dig": "completed", "sow": "pending"}


def test_bad_deliveries_are_put_aside(shop: Shop) -> None:
    """What cannot be read does not keep the others waiting, and is kept for people to look at."""
    talk = shop.talk()
    shop.deliver(b"not json", 1)
    shop.deliver(b'{"session_id": 7}', 2)
    (shop.spool.inbox / "00000000000000000001.1.x,S=3").write_bytes(b"abc")
    shop.deliver(talk.payload("Stop"), 3)
    assert shop.drain() == 4
    assert shop.spool.waiting() == (0, 0)
    assert len(list((shop.spool.folder / "dead").iterdir())) == 3
    assert shop.conversation()["status"] == "active"


def test_texts_of_events_only_when_wanted(database: Database, tmp_path: Path) -> None:
    """Sizes and digests by default; else the text, without secrets and no longer than wanted."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    plain = Shop(database, tmp_path / "one")
    plain.hear(plain.talk(), "UserPromptSubmit", 1, prompt="a secret word")
    (row,) = plain.rows("agent_logs")
    assert (row["body"], row["size"] > 50, len(row["digest"])) == (None, True, 16)
    keeping = House(database, tmp_path / "two", lambda text: text.replace("secret", "***"), bodies=150)
    keeping.deliver(plain.talk(TWO).payload("UserPromptSubmit", prompt="a secret word" + "x" * 9000), 1)
    keeping.drain()
    body = next(row["body"] for row in keeping.rows("agent_logs") if row["body"])
    # Near the cut something may be left out, lest half of a secret be kept.
    assert 100 < len(body) <= 150
    assert "secret" not in body


def test_a_project_that_is_removed_meanwhile_is_made_anew(shop: Shop) -> None:
    """A delivery of a conversation that was known is stored all the same when its project has gone."""
    talk = shop.talk()
    shop.hear(talk, "Stop", 1)
    with shop.database.write() as connection:
        projects.remove(connection, shop.conversation()["project_id"])
    assert shop.rows("conversations") == []
    shop.hear(talk, "Notification", 5000)
    assert [row["event_type"] for row in shop.rows("agent_logs")] == ["Notification"]
    talk.says(1)
    shop.read()
    assert len(shop.rows("usage_records")) == 1


def test_what_nobody_can_place_yet_is_read_again(shop: Shop) -> None:
    """Of an agent's small file alone no conversation can be made; it is not passed over for ever."""
    talk = shop.talk().says(1, agent="helper")
    talk.path_of("helper").write_text("")
    meta = {"agentType": "scout", "description": "look"}
    talk.path_of("helper").with_suffix(".meta.json").write_text(json.dumps(meta))
    shop.read()
    assert shop.rows("agents") == []
    shop.open()
    talk.says(1)
    shop.read()
    assert shop.row("agents", native_id="helper")["agent_type"] == "scout"
