"""Secrets stay where they are: nothing the real daemon says, anywhere, holds one."""

import http.client
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import builders, loglines, postgres
from tests.acceptance.processes import Daemon, environment, sessionctl
from tests.proxies import Proxy, proxied

pytestmark = [pytest.mark.timeout(180), pytest.mark.postgres]

Wait = Callable[..., None]
ROOT = "agents/sessions"
PASSWORD = "canary-pass/word+1%&"
TOKEN = "canary-token-0123456789abcdef"
CONTENT = "canary-content-4f16092"
TRACES = ("canary-", "cana%72y", "pass%2Fword", "pass/word", "0123456789abcdef", "4f16092")
"""What would give one of them away, also in part or in another spelling."""


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Keeper:
    """A daemon that is full of secrets, and everything it says."""

    def __init__(self, home: Path, url: str, proxy: Proxy) -> None:
        self.home, self.url, self.proxy = home, url, proxy
        self.port = free_port()
        self.shop = builders.make_project(home / "code" / "shop")
        self.config = home / "config.toml"
        (home / "token").touch(0o600)
        (home / "token").write_text(TOKEN + "\n")
        self.write()
        environ = environment("", home / "state", SESSIOND_CONFIG=str(self.config))
        self.daemon = Daemon([], environ, home / "daemon.log")
        self.heard: list[str] = []

    def write(self, more: str = "", url: str | None = None) -> None:
        """Write the configuration, with the password in it."""
        chosen = url or self.proxy.url(self.url, PASSWORD)
        self.config.touch(0o600)
        self.config.write_text(
            f'[watch]\nroots = ["{self.home / "code"}"]\n[database]\nurl = "{chosen}"\n'
            f'[control]\nlisten = "127.0.0.1:{self.port}"\ntoken_file = "{self.home / "token"}"\n'
            f'[log]\nlevel = "debug"\n[daemon]\ndrain_deadline = 2.0\n{more}'
        )

    def ask(self, method: str, target: str, token: str = TOKEN, body: str | None = None) -> int:
        """Ask over the loopback port, keep the answer and return its status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, target, body=body, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        self.heard.append(f"{method} {target}: {answer.headers}{answer.read().decode()}")
        connection.close()
        return answer.status

    def look(self) -> None:
        """Keep all that it says about itself now."""
        for target in ("/status", "/metrics", "/healthz", "/freshness"):
            self.ask("GET", target)
        for words in (["status"], ["doctor", "--json"]):
            done = sessionctl(self.daemon.environment, *words, cwd=self.home)
            self.heard.append(done.stdout + done.stderr)

    def everything(self) -> dict[str, str]:
        """Return all that was said, by where."""
        said = {f"answer {number}": text for number, text in enumerate(self.heard)}
        said["log"] = self.daemon.log
        for path in sorted((self.home / "state").iterdir()):
            if path.is_file():
                said[path.name] = path.read_text(errors="replace")
        return said

    def check(self) -> None:
        """Keep what the check of the configuration says."""
        done = subprocess.run(
            [*self.daemon.command[:3], "check-config"],
            env=self.daemon.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        self.heard.append(done.stdout + done.stderr)

    def find_nothing(self) -> None:
        """Look for the canaries in all of it."""
        for where, text in self.everything().items():
            found = [trace for trace in TRACES if trace in text]
            assert not found, f"{where}: {[line for line in text.splitlines() if found[0] in line][:3]}"


@pytest.fixture
def keeper(tmp_path: Path, postgres_server: postgres.Server, postgres_url: str) -> Iterator[Keeper]:
    """A daemon that is full of secrets; not started, and stopped whatever happens."""
    if isinstance(postgres_server, postgres.GivenServer):
        pytest.skip("needs a server that lets any password in")
    with proxied(postgres_server) as proxy:
        made = Keeper(tmp_path, postgres_url, proxy)
        yield made
        made.daemon.stop(signal.SIGKILL)


def contents() -> dict[str, Any]:
    """Return sessions that hold the canary wherever a reader could stumble over it, by slug."""
    good = builders.v2(topic=CONTENT, description=CONTENT)
    wrong = {key: CONTENT for key in good if key not in {"topic", "description"}}
    return {
        "good": good,
        "torn": b'{"topic": "' + CONTENT.encode(),
        "trailing": b"{} " + CONTENT.encode(),
        "list": f'["{CONTENT}"]'.encode(),
        "bytes": b'{"topic": "' + CONTENT.encode() + b'\xff"}',
        "nul": builders.v2(topic=f"{CONTENT}\x00"),
        "surrogate": f'{{"topic": "{CONTENT}\\ud800", "current_phase": "{CONTENT}"}}'.encode(),
        "constant": f'{{"{CONTENT}": NaN}}'.encode(),
        **{f"wrong-{key}": builders.v2(**{key: value}) for key, value in wrong.items()},
        **{f"nested-{key}": builders.v2(**{key: {CONTENT: [CONTENT]}}) for key in wrong},
    }


def test_nothing_it_says_holds_a_secret(keeper: Keeper, wait_until: Wait) -> None:
    """Files it cannot use, faults of the database, bad clients and configurations: no word of a canary."""
    for slug, content in contents().items():
        builders.make_session(keeper.shop / ROOT, slug, content)
    daemon = keeper.daemon.start()
    client = daemon.client
    wait_until(lambda: client.sessions(text=CONTENT)["total"], "the import", seconds=30)
    assert client.rescan()["totals"]["sessions"] == len(contents())
    for slug, content in contents().items():
        builders.make_session(keeper.shop / ROOT, slug, content)
    keeper.look()
    assert keeper.ask("GET", "/status", token=TOKEN[:-1]) == 401
    assert keeper.ask("GET", "/status", token=f"{PASSWORD}") == 401
    assert keeper.ask("POST", "/rescan", body='{"project": "nothing"}') == 404
    os.kill(daemon.pid, signal.SIGUSR2)
    wait_until(lambda: "event=signal.stacks" in daemon.log, "the stacks")
    keeper.proxy.set("refuse")
    builders.make_session(keeper.shop / ROOT, "good", builders.v2(topic=f"{CONTENT} again"))
    daemon.wait_for_event("db.down")
    keeper.look()
    assert keeper.ask("GET", "/sessions") == 503
    assert keeper.ask("POST", "/rescan") == 503
    keeper.proxy.set("pass")
    wait_until(lambda: not client.status().stale, "a fresh mirror", seconds=30)
    assert daemon.stop() == 0
    keeper.find_nothing()
    for line in daemon.log.splitlines():
        if line.startswith("ts="):
            loglines.fields(line)


def test_bad_configurations_give_nothing_away(keeper: Keeper, wait_until: Wait) -> None:
    """Reloads with a broken URL, key or file, each with a secret in it, are answered without a word of it."""
    builders.make_session(keeper.shop / ROOT, "good")
    daemon = keeper.daemon.start()
    url = keeper.proxy.url(keeper.url, PASSWORD)
    broken = (
        {"url": url.replace("postgres:", f"postgres:{PASSWORD}@", 1)},
        {"url": f"postgresql://me:{PASSWORD}@127.0.0.1:{PASSWORD}/x"},
        {"url": f"mysql://me:{PASSWORD}@127.0.0.1/x"},
        {"url": f'{url}" = "{PASSWORD}'},
        {"more": f'password = "{PASSWORD}"\n'},
        {"more": f"drain_deadline = {PASSWORD}\n"},
        {"more": f"[database]\nurl = {PASSWORD}\n"},
    )
    for change in broken:
        keeper.write(**change)
        # A URL of another database is not refused, but waits for a restart.
        assert keeper.ask("POST", "/reload") in {200, 422}
        before = daemon.client.status().config.reloaded_at
        os.kill(daemon.pid, signal.SIGHUP)
        wait_until(lambda before=before: daemon.client.status().config.reloaded_at != before, "the reload")
        keeper.look()
    assert daemon.stop() == 0
    for change in (broken[1], {"more": ""}):
        keeper.write(**change)
        keeper.check()
    for change in broken[2:3]:
        keeper.write(**change)
        daemon.start(ready=False)
        assert daemon.process is not None
        assert daemon.process.wait(60) == 78
    keeper.find_nothing()


@pytest.mark.parametrize("option", ["password", "sslpassword"])
def test_a_secret_among_the_options_of_the_url_is_one(keeper: Keeper, wait_until: Wait, option: str) -> None:
    """Whether it waits for its database or has it, a password behind the question mark is not shown."""
    keeper.write(url=f"{keeper.proxy.url(keeper.url)}?{option}=canary-option")
    keeper.proxy.set("refuse")
    keeper.daemon.start(ready=False)
    keeper.daemon.wait_for_event("db.down")
    keeper.look()
    keeper.proxy.set("pass")
    keeper.daemon.wait_for_event("sessiond.ready")
    keeper.look()
    assert keeper.daemon.stop() == 0
    keeper.find_nothing()
