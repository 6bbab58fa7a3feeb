"""A stand-in for the model's API: on loopback, of the standard library; all it keeps is what it billed."""

import json
import re
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby
from typing import Any, ClassVar, Self

from typing_extensions import override

from tests.e2e_client.scripts import AGENT_TOOL, PROJECT, SCRIPTS, Step

Tree = dict[str, Any]

ASIDE = ""
"""The script of requests that no prompt of ours has caused: summaries, titles."""

_PATIENCE = 30.0
_MARK = re.compile(r"\[\[scenario:(\w+)\]\]")
_ERROR = "scripted error"
_SUMMARY_ASKED = re.compile(r"detailed summary|summari[sz]e (?:the|this) conversation", re.IGNORECASE)
_SUMMARY = Step("<analysis>short</analysis>\n<summary>What was said so far.</summary>", spent=(1, 2))


@dataclass(frozen=True, slots=True)
class Billed:
    """One answer: the tokens that were charged for it.

    Attributes:
        script: The script it came from; ASIDE for what no prompt of ours has caused.
        model: The model that was asked.
        input, output, cache_read, cache_write_5m, cache_write_1h: Tokens, each counted once.
    """

    script: str
    model: str
    input: int
    output: int
    cache_read: int = 2000
    cache_write_5m: int = 600
    cache_write_1h: int = 400


def step_for(messages: list[Tree]) -> tuple[str, Step]:
    """Return the script that a conversation plays, and the step it has come to."""
    marks = [(at, name) for at, message in enumerate(messages) for name in _MARK.findall(_said(message))]
    last_words = _texts(messages[-1])[-1:] if messages else []
    if not marks or _asks_for_summary(last_words):
        return ASIDE, _SUMMARY
    at, name = marks[-1]
    turns = [role for role, _ in groupby(message["role"] for message in messages[at + 1 :])]
    steps = SCRIPTS.get(name, ())
    number = turns.count("assistant")
    return name, steps[number] if number < len(steps) else Step("Done.")


def _asks_for_summary(words: list[str]) -> bool:
    return any(_SUMMARY_ASKED.search(text) and not _MARK.search(text) for text in words)


def _said(message: Tree) -> str:
    return " ".join(_texts(message)) if message.get("role") == "user" else ""


def _texts(message: Tree) -> list[str]:
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    return [block["text"] for block in content or () if block.get("type") == "text"]


def answer_to(body: Tree, project: str) -> tuple[Billed, Step, Tree]:
    """Return what is charged for a request, its step, and the model's message."""
    script, step = step_for(body.get("messages", []))
    billed = Billed(script, str(body.get("model")), *step.spent)
    offered = {tool.get("name") for tool in body.get("tools", ())}
    blocks: list[Tree] = [{"type": "text", "text": step.text}] if step.text else []
    for call in step.calls:
        name = ("Agent" if "Agent" in offered else "Task") if call.name == AGENT_TOOL else call.name
        given = json.loads(json.dumps(call.given).replace(PROJECT, project))
        blocks.append(
            {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex[:24]}", "name": name, "input": given}
        )
    return (
        billed,
        step,
        {
            "id": f"msg_{uuid.uuid4().hex[:24]}",
            "type": "message",
            "role": "assistant",
            "model": billed.model,
            "content": blocks,
            "stop_reason": "tool_use" if step.calls else "end_turn",
            "stop_sequence": None,
            "usage": _usage(billed),
        },
    )


def _usage(billed: Billed) -> Tree:
    written = {
        "ephemeral_5m_input_tokens": billed.cache_write_5m,
        "ephemeral_1h_input_tokens": billed.cache_write_1h,
    }
    return {
        "input_tokens": billed.input,
        "output_tokens": billed.output,
        "cache_read_input_tokens": billed.cache_read,
        "cache_creation_input_tokens": sum(written.values()),
        "cache_creation": written,
        "service_tier": "standard",
    }


def events_of(message: Tree) -> Iterator[Tree]:
    """Yield a message as the stream of events that a client is told it by."""
    begun = message | {"content": [], "stop_reason": None, "usage": message["usage"] | {"output_tokens": 1}}
    yield {"type": "message_start", "message": begun}
    for index, block in enumerate(message["content"]):
        is_text = block["type"] == "text"
        empty: Tree = {"text": ""} if is_text else {"input": {}}
        words = block["text"] if is_text else json.dumps(block["input"])
        kind, name = ("text_delta", "text") if is_text else ("input_json_delta", "partial_json")
        yield {"type": "content_block_start", "index": index, "content_block": block | empty}
        yield {"type": "content_block_delta", "index": index, "delta": {"type": kind, name: words}}
        yield {"type": "content_block_stop", "index": index}
    ended = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": ended, "usage": message["usage"]}
    yield {"type": "message_stop"}


class Api:
    """Serves clients on a port of loopback, from its start to the end of its block.

    Args:
        project: The folder that the scripts' files lie in.
    """

    def __init__(self, project: str) -> None:
        self.project = project
        self.billed: list[Billed] = []
        self.unknown: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def told(self) -> Mapping[str, Any]:
        """Return what was charged and which requests were not understood, as JSON takes it."""
        return {"billed": [asdict(one) for one in self.billed], "unknown": self.unknown}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_PATIENCE)


class _Server(ThreadingHTTPServer):
    api: Api

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let go of clients that hang up, as those that are killed do."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version: ClassVar[str] = "HTTP/1.1"  # type: ignore[misc]
    timeout: ClassVar[float] = _PATIENCE
    server: _Server

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._reply(200, {})

    def do_GET(self) -> None:
        self._unknown()

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.partition("?")[0]
        if path == "/v1/messages/count_tokens":
            self._reply(200, {"input_tokens": len(content) // 4 + 1})
        elif path == "/v1/messages":
            self._message(json.loads(content))
        else:
            self._unknown()

    def _message(self, body: Tree) -> None:
        api = self.server.api
        billed, step, message = answer_to(body, api.project)
        if step.refusal is not None:
            status, kind = step.refusal
            self._reply(status, {"type": "error", "error": {"type": kind, "message": _ERROR}})
            return
        api.billed.append(billed)
        if not body.get("stream"):
            self._reply(200, message)
            return
        lines = (f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events_of(message))
        self._send(200, "text/event-stream", "".join(lines).encode())

    def _unknown(self) -> None:
        self.server.api.unknown.append(f"{self.command} {self.path}")
        self._reply(404, {"type": "error", "error": {"type": "not_found_error", "message": self.path}})

    def _reply(self, status: int, tree: Tree) -> None:
        self._send(status, "application/json", json.dumps(tree).encode())

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.send_header("request-id", f"req_{uuid.uuid4().hex[:24]}")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
