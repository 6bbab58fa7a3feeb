"""Secrets that sing: a daemon into which they are planted everywhere; what it says is searched for them."""

import http.client
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import builders, postgres
from tests.acceptance.processes import Daemon, environment, sessionctl
from tests.ports import free_port
from tests.proxies import Proxy, proxied

ROOT = "agents/sessions"
PASSWORD = "canary-pass/word+1%&"
TOKEN = "canary-token-0123456789abcdef"
CONTENT = "canary-content-4f16092"
TRACES = ("canary-", "cana%72y", "pass%2Fword", "pass/word", "0123456789abcdef", "4f16092")
"""What would give one of them away, also in part or in another spelling."""


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


@contextmanager
def kept(home: Path, server: postgres.Server, url: str) -> Iterator[Keeper]:
    """Give such a daemon; it is not started, and stopped whatever happens."""
    if isinstance(server, postgres.GivenServer):
        pytest.skip("needs a server that lets any password in")
    with proxied(server) as proxy:
        made = Keeper(home, url, proxy)
        yield made
        made.daemon.stop(signal.SIGKILL)
