"""Secrets in what agents say, do and get back are stored nowhere and said nowhere."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests import builders
from tests.acceptance.processes import Daemon, environment, sessionctl
from tests.ingesting import House
from tests.planted import SECRETS
from tests.talks import Talk

pytestmark = pytest.mark.timeout(120)

Wait = Callable[..., None]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def hooks_of(talk: Talk, name: str, secret: str) -> list[bytes]:
    """Return payloads with a secret wherever one may stand."""
    call = f"call-{name}"
    failed = {
        "tool_name": "Bash",
        "tool_use_id": f"{call}-f",
        "error": f"Exit code 1\nusing {secret}: refused",
    }
    done = {"tool_name": "Bash", "tool_use_id": call, "tool_input": {"command": f"login {secret}"}}
    spawned = {
        "tool_name": "Agent",
        "tool_use_id": f"{call}-a",
        "tool_input": {"description": f"use {secret}", "subagent_type": "scout", "prompt": secret},
        "tool_response": {"status": "completed", "agentId": f"agent-{call}", "content": secret},
    }
    todo = {
        "tool_name": "TodoWrite",
        "tool_use_id": f"{call}-t",
        "tool_input": {"todos": [{"content": f"rotate {secret} soon", "status": "pending"}]},
        "tool_response": {},
    }
    return [
        talk.payload("UserPromptSubmit", prompt=f"my key is {secret}, keep it", prompt_id=f"p-{name}"),
        talk.payload("PreToolUse", **done),
        talk.payload("PostToolUse", **done, tool_response={"stdout": f"token: {secret}\n", "stderr": ""}),
        talk.payload("PostToolUseFailure", **failed),
        talk.payload("PostToolUse", **spawned),
        talk.payload("PostToolUse", **todo),
        talk.payload("PermissionDenied", tool_name="Bash", tool_use_id=f"{call}-d", reason=f"no {secret}"),
        talk.payload("TaskCreated", task_id=name, task_subject=secret, task_description=f"with {secret}"),
        talk.payload("StopFailure", error="unknown", error_details=f"bad header {secret}"),
        talk.payload("Notification", message=secret, notification_type="idle"),
    ]


def tell(talk: Talk, name: str, secret: str) -> None:
    """Write a secret into a transcript wherever one may stand."""
    call = f"record-{name}"
    talk.calls(call, "Bash", {"command": f"export KEY={secret}"})
    talk.gets(call, f"KEY={secret}: denied", error=True)
    talk.calls(f"{call}-t", "TaskCreate", {"subject": f"hide {secret}", "description": secret})
    talk.gets(f"{call}-t", "done", answer={"task": {"id": f"record {name}"}})
    text = [{"type": "text", "text": f"API Error: 401 for {secret}"}]
    talk.write(talk.record("assistant", message={"content": text}, isApiErrorMessage=True))
    talk.write({"type": "custom-title", "customTitle": f"With {secret}", "sessionId": talk.native_id})
    meta = {"agentType": "scout", "description": f"look for {secret}", "toolUseId": call}
    talk.says(1, agent=f"scout{name.replace(' ', '')}")
    path = talk.path_of(f"scout{name.replace(' ', '')}").with_suffix(".meta.json")
    path.write_text(json.dumps(meta))


@pytest.mark.parametrize("bodies", [False, True], ids=["sizes", "texts"])
def test_planted_secrets_are_found_nowhere(
    sqlite_url: str, tmp_path: Path, wait_until: Wait, *, bodies: bool
) -> None:
    """Not in the database, its log, the daemon's log, the status, nor in any answer."""
    shop = tmp_path / "code" / "shop"
    builders.make_project(shop, {})
    config = tmp_path / "config.toml"
    config.write_text(f'[log]\nlevel = "debug"\n[tracking]\nbodies = {str(bodies).lower()}\n')
    environ = environment(
        sqlite_url,
        tmp_path / "state",
        CLAUDE_CONFIG_DIR=str(tmp_path / "client"),
        SESSIOND_CONFIG=str(config),
    )
    daemon = Daemon([tmp_path / "code"], environ, tmp_path / "daemon.log")
    house = House.__new__(House)
    house.spool = type("Inbox", (), {"inbox": tmp_path / "state" / "spool" / "new"})()
    house.spool.inbox.mkdir(parents=True)  # type: ignore[attr-defined]
    talk = Talk(tmp_path / "client", shop, "conversation-one", NOON)
    talk.says(1)
    for number, (name, secret) in enumerate(SECRETS.items()):
        for place, body in enumerate(hooks_of(talk, name, secret)):
            house.deliver(body, number * 1000 + place)
        tell(talk, name, secret)
    daemon.start()
    try:
        wait_until(lambda: not list(house.spool.inbox.iterdir()), "an empty spool", 40)  # type: ignore[attr-defined]
        answers = [
            sessionctl(environ, *words)
            for words in (["status"], ["query", "findings"], ["projects"], ["sessions"], ["doctor", "--json"])
        ]
    finally:
        daemon.stop()
    said = "".join(answer.stdout + answer.stderr for answer in answers)
    assert [answer.returncode for answer in answers if answer.returncode not in (0, 1)] == []
    kept = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
    database = b"".join(path.read_bytes() for path in tmp_path.glob("mirror.db*"))
    log = (tmp_path / "daemon.log").read_bytes()
    # What is kept is there, and a part of it is a mask.
    assert b"rotate ***" in database
    assert b"With ***" in database
    assert (b"my key is ***" in database) is bodies
    for name, secret in SECRETS.items():
        for place, content in (
            ("database", database),
            ("state", kept),
            ("log", log),
            ("answers", said.encode()),
        ):
            assert secret.encode() not in content, f"{name} in {place}"
            assert secret[-20:].encode() not in content, f"the end of {name} in {place}"
