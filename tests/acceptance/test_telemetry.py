"""A real daemon that takes telemetry: on its port with the token, from a reload on, and into its spool."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from sessionlib.journal.spool import Spool
from tests.acceptance.processes import Daemon, environment
from tests.conftest import Wait
from tests.controls import Answer, UnixConnection, exchanged
from tests.ports import free_port

POSTS = Path(__file__).parents[1] / "fixtures" / "claude_code" / "otel" / "posts.jsonl"
CONVERSATION = "b2a88b2e-3c44-41f1-830c-9095834fb25f"
JSON = {"Content-Type": "application/json"}


def posts() -> list[tuple[str, bytes]]:
    """Return real posts with their paths."""
    told = [json.loads(line) for line in POSTS.read_text().splitlines()]
    return [(one["path"], json.dumps(one["body"]).encode()) for one in told]


class Taking(Daemon):
    """A daemon with a configuration file that says what it takes, and a port."""

    port: int = 0

    def configure(self, tracking: str) -> None:
        """Write the configuration."""
        listen = f'[control]\nlisten = "127.0.0.1:{self.port}"\n'
        Path(self.environment["SESSIOND_CONFIG"]).write_text(f"{listen}[tracking]\n{tracking}\n")

    def post(self, path: str, body: bytes) -> Answer:
        """Post to the port, with the token that the daemon has drawn."""
        token = (self.state_dir / "control-token").read_text().strip()
        headers = JSON | {"Authorization": f"Bearer {token}"}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        return exchanged(connection, "POST", path, body, headers)


@pytest.fixture
def daemon(tmp_path: Path, sqlite_url: str) -> Iterator[Taking]:
    """A daemon that is not started yet."""
    (tmp_path / "code").mkdir()
    environ = environment(sqlite_url, tmp_path / "state", SESSIOND_CONFIG=str(tmp_path / "given.toml"))
    made = Taking([tmp_path / "code"], environ, tmp_path / "daemon.log")
    made.port = free_port()
    yield made
    made.stop()


def stored(daemon: Daemon) -> int:
    """Return how many deliveries the daemon has stored."""
    tracking = daemon.client.status().tracking
    assert tracking is not None
    assert tracking.buried == 0
    return tracking.stored


def test_posts_are_stored(daemon: Taking, wait_until: Wait) -> None:
    """Of all real posts, over port and socket, three a time tell of requests; the spool is empty then."""
    daemon.configure("telemetry = true")
    daemon.start()
    # Telemetry does not tell where its conversation is held: a hook does.
    began = {
        "session_id": CONVERSATION,
        "hook_event_name": "SessionStart",
        "source": "startup",
        "cwd": "/code",
    }
    Spool(daemon.state_dir / "spool").put("claude-code", "SessionStart", json.dumps(began).encode())
    for path, body in posts():
        assert daemon.post(path, body).status == 200
        socket = UnixConnection(daemon.state_dir / "run" / "control.sock")
        assert exchanged(socket, "POST", path, body, JSON).status == 200
    wait_until(lambda: stored(daemon) == 7, "what the hook said and six posts to be stored", 20)
    assert list((daemon.state_dir / "spool" / "new").iterdir()) == []


def test_it_is_switched_by_a_reload(daemon: Taking) -> None:
    """Off by default; on and off again without a restart."""
    path, body = posts()[2]
    daemon.configure("")
    daemon.start()
    assert daemon.post(path, body).status == 404
    daemon.configure("telemetry = true")
    assert daemon.client.reload()["applied"] == ["tracking.telemetry"]
    assert daemon.post(path, body).status == 200
    daemon.configure("telemetry = false")
    daemon.client.reload()
    assert daemon.post(path, body).status == 404


def test_without_hooks_nobody_would_read_it(daemon: Taking) -> None:
    """So it is not taken either, and nothing piles up."""
    daemon.configure("telemetry = true\nhooks = false")
    daemon.start()
    assert daemon.post(*posts()[2]).status == 404
    assert not (daemon.state_dir / "spool").exists()
