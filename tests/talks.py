"""Transcripts and payloads made to measure: a conversation of which a test says every word."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sessionlib.journal.claude_code.layout import slug_of

MODEL = "claude-sonnet-4-5"


class Talk:
    """One conversation, started in a folder; `at` moves with every record.

    Args:
        config: The client's configuration folder.
        cwd: Where it was started.
        native_id: Its id.
        start: When.
    """

    def __init__(self, config: Path, cwd: Path, native_id: str, start: datetime) -> None:
        self.cwd = str(cwd)
        self.native_id = native_id
        self.at = start
        self.path = config / "projects" / slug_of(self.cwd) / f"{native_id}.jsonl"
        self._count = 0

    def later(self, **span: float) -> "Talk":
        """Let time pass."""
        self.at += timedelta(**span)
        return self

    def path_of(self, agent: str = "") -> Path:
        """Return the transcript of an agent."""
        if not agent:
            return self.path
        return self.path.with_suffix("") / "subagents" / f"agent-{agent}.jsonl"

    def record(self, kind: str, agent: str = "", **more: Any) -> dict[str, Any]:
        """Return a record of this conversation at this time."""
        self._count += 1
        self.at += timedelta(milliseconds=1)
        base = {
            "type": kind,
            "uuid": f"{self.native_id}-{agent}-{self._count}",
            "timestamp": stamp(self.at),
            "sessionId": self.native_id,
            "cwd": self.cwd,
            "version": "2.1.330",
            "isSidechain": bool(agent),
        }
        return base | ({"agentId": agent} if agent else {}) | more

    def write(self, *records: dict[str, Any], agent: str = "") -> "Talk":
        """Append records to a transcript."""
        path = self.path_of(agent)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
        return self

    def says(self, tokens: int = 10, agent: str = "", model: str = MODEL, **more: Any) -> "Talk":
        """Answer once, with so many tokens of output."""
        message = {
            "id": f"msg_{self.native_id}_{agent}_{self._count}",
            "model": model,
            "role": "assistant",
            "content": [{"type": "text", "text": "Done."}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 0, "output_tokens": tokens},
        }
        return self.write(self.record("assistant", agent, message=message | more), agent=agent)

    def calls(self, call: str, name: str, given: Any, agent: str = "") -> "Talk":
        """Call a tool."""
        block = {"type": "tool_use", "id": call, "name": name, "input": given}
        message = {"id": f"msg_{call}", "model": MODEL, "content": [block], "usage": {"output_tokens": 0}}
        return self.write(self.record("assistant", agent, message=message), agent=agent)

    def gets(
        self, call: str, content: Any, agent: str = "", *, answer: Any = None, error: bool = False
    ) -> "Talk":
        """Get a tool's result."""
        block = {"type": "tool_result", "tool_use_id": call, "content": content, "is_error": error}
        more = {} if answer is None else {"toolUseResult": answer}
        return self.write(self.record("user", agent, message={"content": [block]}, **more), agent=agent)

    def spent(self, **costs: float) -> "Talk":
        """Write the client's ledger: dollars by model."""
        usage = {
            model.replace("_", "-"): {"costUSD": cost, "inputTokens": 0, "outputTokens": 0}
            for model, cost in costs.items()
        }
        return self.write({"type": "cost-state", "sessionId": self.native_id, "modelUsage": usage})

    def payload(self, event: str, **more: Any) -> bytes:
        """Return what a hook says of this conversation."""
        base = {
            "session_id": self.native_id,
            "transcript_path": str(self.path),
            "cwd": self.cwd,
            "hook_event_name": event,
        }
        return json.dumps(base | more).encode()


def stamp(at: datetime) -> str:
    """Return a time as the client writes it."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def total(rows: Iterable[dict[str, Any]], name: str) -> Any:
    """Return the sum of a column."""
    return sum(row[name] for row in rows)
