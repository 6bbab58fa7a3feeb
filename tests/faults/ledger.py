"""What agents have left behind, read from journals by `json` alone, and whether the database says the same.

Of the code it knows the tables' names; of transcripts, what the faults write: lines with a uuid, responses
with an id and tokens, calls and their results. A line that is no JSON says nothing.
"""

import hashlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psycopg

from tests.faults.oracle import Mirror, Row

_OF = "JOIN conversations c ON c.project_id = t.project_id AND c.conversation_id = t.conversation_id"
_AGENT = "JOIN agents a ON a.project_id = t.project_id AND a.agent_id = t.agent_id"
_LOGS = f"""
SELECT c.native_id AS whose, t.category, t.event_key, t.event_type, t.tool_use_id FROM agent_logs t {_OF}
"""
_CALLS = f"SELECT c.native_id AS whose, t.tool_use_id, t.outcome FROM tool_calls t {_OF}"
_USAGE = f"""
SELECT c.native_id AS whose, a.native_id AS agent, t.message_id, t.output_tokens AS tokens, s.slug, t.phase
FROM usage_records t {_OF} {_AGENT}
LEFT JOIN sessions s ON s.project_id = t.project_id AND s.session_id = t.session_id
"""
_TOTALS = f"""
SELECT c.native_id AS whose, a.native_id AS agent, s.slug, t.phase, t.messages, t.output_tokens AS tokens
FROM usage_totals t {_OF} {_AGENT}
LEFT JOIN sessions s ON s.project_id = t.project_id AND CAST(s.session_id AS text) = t.session_key
WHERE t.source = 'messages'
"""
_AGENTS = f"""
SELECT c.native_id AS whose, t.native_id AS agent, t.messages, t.output_tokens AS tokens FROM agents t {_OF}
"""
_CONVERSATIONS = "SELECT native_id, attribution FROM conversations"
_CURSORS = """
SELECT path, position, size, mtime_ns, inode, problem FROM journal_cursors WHERE client <> 'sessiond'
"""

STILL = (
    *("conversations", "conversation_links", "agents", "agent_logs", "tool_calls", "usage_records"),
    *("usage_totals", "client_costs", "todos", "journal_cursors"),
)
"""The tables in which another look at unchanged journals must not touch a row."""


class Ledger:
    """What journals have said so far; what was read once stays, as it does in the database.

    Attributes:
        lines: Of transcripts: conversation and uuid.
        heard: Of hooks: conversation, event and call.
        calls: Conversation and call, and whether its result was read.
        tokens: Of each response, the most that a line says.
        links: What sessions' documents say: by conversation, their slug and where they stand.
    """

    def __init__(self) -> None:
        self.lines: set[tuple[str, str]] = set()
        self.heard: set[tuple[str, str, str]] = set()
        self.calls: dict[tuple[str, str], bool] = {}
        self.tokens: dict[tuple[str, str], int] = {}
        self.links: dict[str, tuple[str, str]] = {}

    def read(self, client: Path) -> "Ledger":
        """Read all whole lines that stand in a client's transcripts by now."""
        for path in _transcripts(client):
            for line in _whole(path.read_bytes()).splitlines():
                self.line(path.stem, line)
        return self

    def line(self, whose: str, line: bytes) -> None:
        """Take in one line of a transcript."""
        try:
            said = json.loads(line)
        except ValueError:
            return
        if not isinstance(said, dict) or said.get("type") not in ("user", "assistant"):
            return
        self.lines.add((whose, said["uuid"]))
        message = said["message"]
        if said["type"] == "assistant":
            key = whose, message["id"]
            self.tokens[key] = max(self.tokens.get(key, 0), message["usage"]["output_tokens"])
        for block in message["content"]:
            if block["type"] == "tool_use":
                self.calls.setdefault((whose, block["id"]), False)
            elif block["type"] == "tool_result":
                self.calls[whose, block["tool_use_id"]] = True

    def hear(self, body: bytes) -> None:
        """Take in what a hook was told."""
        said = json.loads(body)
        whose, call = said["session_id"], said["tool_use_id"]
        self.heard.add((whose, said["hook_event_name"], call))
        is_over = said["hook_event_name"] == "PostToolUse"
        self.calls[whose, call] = self.calls.get((whose, call), False) or is_over

    def look(self, code: Path) -> "Ledger":
        """Read which sessions say that a conversation works on them, and in which phase those are."""
        for path in sorted(code.glob("*/agents/sessions/*/state.json")):
            document = json.loads(path.read_bytes())
            began = {
                at: name.removesuffix("_started_at")
                for name, at in document["phase_history"].items()
                if at and name.endswith("_started_at")
            }
            for link in document.get("conversations") or []:
                self.links[link["native_id"]] = path.parent.name, began[max(began)]
        return self


def _transcripts(client: Path) -> list[Path]:
    return sorted((client / "projects").glob("*/*.jsonl"))


def _whole(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def drift(url: str, client: Path, must: Ledger, may: Ledger | None = None) -> list[str]:
    """Return in words where the database does not say what journals do; empty when it does.

    Args:
        url: Of the database.
        client: The folder below whose ``projects`` the transcripts lie, at rest.
        must: What must be stored, once each.
        may: What may be stored besides; nothing for None.
    """
    mirror = Mirror(url)
    try:
        found = mirror.all([_LOGS, _CALLS, _USAGE, _TOTALS, _AGENTS, _CONVERSATIONS, _CURSORS])
    except (sqlite3.Error, psycopg.Error) as error:
        return [f"the database cannot be read: {error}"]
    logs, calls, usage, sums, agents, conversations, cursors = found
    may = may or must
    lines = [(row["whose"], row["event_key"]) for row in logs if row["category"] == "response"]
    heard = [
        (row["whose"], row["event_type"], row["tool_use_id"]) for row in logs if row["category"] == "hook"
    ]
    told = {key[0] for key in must.lines | must.heard}
    return [
        *_sets("line", lines, must.lines, may.lines),
        *_sets("hook", heard, must.heard, may.heard),
        *_sets("call", [(row["whose"], row["tool_use_id"]) for row in calls], must.calls, may.calls),
        *_sets("response", [(row["whose"], row["message_id"]) for row in usage], must.tokens, may.tokens),
        *_sets(
            "conversation",
            [row["native_id"] for row in conversations],
            told,
            told | {key[0] for key in may.lines | may.heard},
        ),
        *(f"{row['native_id']} is half counted" for row in conversations if row["attribution"] == "pending"),
        *_outcomes(calls, must, may),
        *_tokens(usage, must, may),
        *_sums(usage, sums, agents),
        *_cursors(client, cursors),
    ]


def _sets(what: str, stored: list[Any], must: Iterable[Any], may: Iterable[Any]) -> list[str]:
    counted = Counter(stored)
    words = [f"{what} {key} is stored {count} times" for key, count in counted.items() if count > 1]
    words += [f"{what} {key} is not stored" for key in sorted(set(must) - counted.keys())]
    return words + [f"{what} {key} was never said" for key in sorted(counted.keys() - set(may) - set(must))]


def _outcomes(calls: list[Row], must: Ledger, may: Ledger) -> list[str]:
    words = []
    for row in calls:
        key = row["whose"], row["tool_use_id"]
        known = {must.calls.get(key), may.calls.get(key)} - {None}
        if must.calls.get(key):
            known = {True}
        if (row["outcome"] == "ok") not in known:
            words.append(f"call {key} is {row['outcome']}")
    return words


def _tokens(usage: list[Row], must: Ledger, may: Ledger) -> list[str]:
    words = []
    for row in usage:
        key, tokens = (row["whose"], row["message_id"]), row["tokens"]
        least, most = must.tokens.get(key, 0), max(must.tokens.get(key, 0), may.tokens.get(key, 0))
        if not least <= tokens <= most:
            words.append(f"response {key} has {tokens} tokens, not {least} to {most}")
        link = must.links.get(row["whose"])
        if link is not None and (row["slug"], row["phase"]) != link:
            words.append(f"response {key} is counted to {row['slug']}, {row['phase']}, not to {link}")
    return words


def _sums(usage: list[Row], sums: list[Row], agents: list[Row]) -> list[str]:
    """Compare what is added up with what it is the sum of."""
    counted: Counter[Any] = Counter()
    for row in usage:
        for key in (
            (row["whose"], row["agent"], row["slug"] or "", row["phase"] or ""),
            (row["whose"], row["agent"]),
        ):
            counted[(*key, "messages")] += 1
            counted[(*key, "tokens")] += row["tokens"]
    stored: Counter[Any] = Counter()
    for row in sums:
        for name in ("messages", "tokens"):
            stored[row["whose"], row["agent"], row["slug"] or "", row["phase"], name] += row[name]
    for row in agents:
        for name in ("messages", "tokens"):
            stored[row["whose"], row["agent"], name] = row[name]
    return [
        f"the sum {key} is {stored[key]}, not {counted[key]}"
        for key in sorted(counted.keys() | stored.keys(), key=str)
        if counted[key] != stored[key]
    ]


def _cursors(client: Path, cursors: list[Row]) -> list[str]:
    """Compare how far was read with how long the files are; those that are gone need no cursor."""
    stored = {row["path"]: row for row in cursors}
    words = []
    for path in _transcripts(client):
        row = stored.get(os.fspath(path))
        if row is None:
            words.append(f"{path.name} has no cursor")
            continue
        seen = path.stat()
        wanted = {
            "position": len(_whole(path.read_bytes())),
            "size": seen.st_size,
            "mtime_ns": seen.st_mtime_ns,
            "inode": seen.st_ino,
            "problem": None,
        }
        words += [
            f"{path.name}: {name} is {row[name]!r}, not {value!r}"
            for name, value in wanted.items()
            if row[name] != value
        ]
    return words


def gone(url: str, client: Path) -> list[str]:
    """Return the cursors of files that are not there any more."""
    there = {os.fspath(path) for path in _transcripts(client)}
    return [row["path"] for row in Mirror(url).rows(_CURSORS) if row["path"] not in there]


def digest(url: str) -> Mapping[str, str]:
    """Return a digest of each table's rows; on PostgreSQL one that a write of the same values changes."""
    mirror = Mirror(url)
    hidden = "xmin::text AS written_by, " if mirror.is_postgres else ""
    wanted = {name: " WHERE client <> 'sessiond'" if name == "journal_cursors" else "" for name in STILL}
    found = mirror.all(f"SELECT {hidden}t.* FROM {name} t{where}" for name, where in wanted.items())
    return {
        name: hashlib.sha256("\n".join(sorted(str(sorted(row.items())) for row in rows)).encode()).hexdigest()
        for name, rows in zip(wanted, found, strict=True)
    }


def settled(url: str) -> object:
    """Return the daemon's own mark that it has looked at all, and counted all; another one after each."""
    return [
        row["read_at"]
        for row in Mirror(url).rows("SELECT read_at FROM journal_cursors WHERE path = 'settled'")
    ]
