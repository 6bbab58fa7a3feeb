"""What docs/ui shows is run for real: the curl commands, the examples, and the script of the page."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sessionlib.control import ControlClient
from sessionlib.state.manager import StateManager
from tests import builders
from tests.acceptance.processes import Daemon, environment

pytestmark = pytest.mark.timeout(120)

Wait = Callable[..., None]
UI = Path(__file__).parent.parent.parent / "docs" / "ui"
ROOT = "agents/sessions"
ORIGIN = "http://localhost:3000"
MARKUP = "<img src=x onerror=alert(1)>"


def blocks(kind: str) -> list[str]:
    """Return the README's code blocks of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", (UI / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def program(name: str, least: int = 0) -> str:
    """Return a program's path; skips the test where it is not there or too old."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"no {name} here")
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"\d+", said)
    if version is None or int(version[0]) < least:
        pytest.skip(f"{name} is too old: {said.splitlines()[0]}")
    return path


class Running:
    """A program that runs until the end of the test, and what it has said."""

    def __init__(self, command: list[str], environ: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        # One by one, since the test looks at them while they come.
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines)

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Return the JSON lines of a kind."""
        found = [json.loads(line) for line in list(self.lines) if line.startswith("{")]
        return [line for line in found if line["kind"] == kind]

    def end(self) -> None:
        """End the program."""
        self.process.terminate()
        self.process.wait(10)
        self._thread.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def running(command: list[str], environ: dict[str, str]) -> Iterator[Running]:
    """Run a program until the end of the block."""
    started = Running(command, environ)
    try:
        yield started
    finally:
        started.end()


class House:
    """A user's home with a project in it, and the daemon in its usual places, with a port of its own."""

    def __init__(self, home: Path, runtime: str, url: str) -> None:
        self.home = home
        self.shop = builders.make_project(home / "code" / "shop", {"search": builders.v2(topic="at first")})
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = str(probe.getsockname()[1])
        self.state_dir = home / ".local" / "state" / "sessiond"
        config = home / "config.toml"
        config.write_text(self.with_port(blocks("toml")[-1]))
        more = {"HOME": str(home), "XDG_RUNTIME_DIR": runtime, "SESSIOND_CONFIG": str(config)}
        self.environ = environment(url, self.state_dir, **more)
        self.environ["SESSIOND_RUNTIME_DIR"] = f"{runtime}/sessiond"
        self.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environ |= {"SESSIOND_URL": f"http://127.0.0.1:{self.port}"}
        self.environ.pop("XDG_STATE_HOME", None)
        self.daemon = Daemon([home / "code"], self.environ, home / "daemon.log")

    def with_port(self, text: str) -> str:
        """Return an example with the port that is free here."""
        return text.replace("7717", self.port)

    @property
    def token(self) -> str:
        """The token that the daemon has drawn."""
        return (self.state_dir / "control-token").read_text().strip()


@pytest.fixture
def house(tmp_path: Path, sqlite_url: str, wait_until: Wait) -> Iterator[House]:
    """A house whose daemon runs, and has told of what was there."""
    with tempfile.TemporaryDirectory() as runtime:
        made = House(tmp_path, runtime, sqlite_url)
        try:
            made.daemon.start()
            client = ControlClient(Path(runtime, "sessiond", "control.sock"))
            # A change that overtakes the import is no change of its own.
            wait_until(lambda: client.status().changes >= 1, "the import", seconds=30)
            yield made
        finally:
            made.daemon.stop()


def check_following(house: House, example: Running, wait_until: Wait) -> None:
    """See that an example shows what is there, brings it up to date, and tells of changes."""
    wait_until(lambda: "search" in example.text, "the sessions", seconds=30)
    assert "shop: 1 sessions" in example.text
    assert "as of " in example.text
    assert "at first" in example.text
    StateManager(house.shop / ROOT / "search").transition_to_phase("plan")
    wait_until(lambda: "changed search: plan" in example.text, "the change", seconds=30)
    builders.make_session(house.shop / ROOT, "new")
    wait_until(lambda: "created new: spec" in example.text, "the new session", seconds=30)
    builders.make_project(house.home / "code" / "other", ["elsewhere"])
    StateManager(house.shop / ROOT / "search").transition_to_phase("build")
    wait_until(lambda: "changed search: build" in example.text, "the next change", seconds=30)
    assert "elsewhere" not in example.text


def test_the_curl_commands_work(house: House) -> None:
    """Each block of the page runs in a shell as it stands, and says what it should."""
    program("curl")
    commands = [block for block in blocks("sh") if "curl" in block and "/events" not in block]
    assert len(commands) == 2
    for block in commands:
        done = subprocess.run(
            ["sh", "-euc", house.with_port(block)],
            env=house.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        for word in ('"state":"ready"', '"written"') if "rescan" in block else ('"ok":true', "at first"):
            assert word in done.stdout


def test_the_curl_command_for_the_feed_works(house: House, wait_until: Wait) -> None:
    """It prints each change as it comes."""
    program("curl")
    (block,) = [block for block in blocks("sh") if "/events" in block]
    with running(["sh", "-euc", f"exec {block}"], house.environ) as curl:
        wait_until(lambda: "id: " in curl.text, "the connection")
        StateManager(house.shop / ROOT / "search").transition_to_phase("plan")
        wait_until(lambda: "event: changed" in curl.text, "the change", seconds=30)
        assert '"slug": "search"' in curl.text


def test_the_python_example_follows_a_project(house: House, wait_until: Wait) -> None:
    """It shows fresh rows, then every change of this project and of no other."""
    command = [sys.executable, str(UI / "open_project.py"), str(house.shop)]
    with running(command, house.environ) as example:
        check_following(house, example, wait_until)
        assert example.text.count("as of ") == 1


def test_the_python_example_says_what_is_wrong(house: House) -> None:
    """A folder without sessions, and a daemon that is not there, are one sentence and an exit code."""
    command = [sys.executable, str(UI / "open_project.py"), str(house.home / "nowhere")]
    done = subprocess.run(command, env=house.environ, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert "hint" in done.stderr
    assert "Traceback" not in done.stderr
    house.daemon.stop()
    done = subprocess.run(command, env=house.environ, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr


def test_the_node_example_follows_a_project(house: House, wait_until: Wait) -> None:
    """The same over the loopback listener, through a restart of the daemon too."""
    command = [program("node", 18), str(UI / "open_project.mjs"), str(house.shop)]
    with running(command, house.environ) as example:
        check_following(house, example, wait_until)
        house.daemon.stop()
        builders.make_session(house.shop / ROOT, "search", builders.v2(topic="while it was away"))
        house.daemon.start(ready=False)
        wait_until(lambda: "while it was away" in example.text, "the example to be back", seconds=30)


def test_the_node_example_says_what_is_wrong(house: House) -> None:
    """A wrong token is told in the daemon's own words."""
    (house.home / "wrong").write_text("no-token-of-this-daemon\n")
    command = [program("node", 18), str(UI / "open_project.mjs"), str(house.shop)]
    environ = house.environ | {"SESSIOND_TOKEN_FILE": str(house.home / "wrong")}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert done.stderr.startswith("this is not the token")


def page(house: House, origin: str, token: str | None = None) -> list[str]:
    """Return the command that opens the page from an origin and fills in its form."""
    node = program("node", 18)
    browser = str(Path(__file__).parent / "browser.mjs")
    base = f"http://127.0.0.1:{house.port}"
    return [node, browser, str(UI / "page.html"), origin, base, token or house.token, str(house.shop)]


def test_the_page_follows_a_project(house: House, wait_until: Wait) -> None:
    """From an origin on the list it gets rows and changes, by the rules of a browser; markup stays text."""
    with running(page(house, ORIGIN), house.environ) as browser:
        wait_until(lambda: browser.told("rows"), "the rows", seconds=30)
        assert browser.told("rows")[0]["rows"][0][0] == "search"
        StateManager(house.shop / ROOT / "search").set_details(topic=MARKUP)
        wait_until(lambda: browser.told("rows")[-1]["rows"][0][3] == MARKUP, "the change", seconds=30)
        assert browser.told("said")[-1]["text"].startswith("shop as of ")
    asked = {(told["method"], told["url"].rsplit("/", 1)[1]): told for told in browser.told("preflight")}
    assert {method for method, _ in asked} == {"GET", "POST"}
    for told in asked.values():
        assert told["status"] == 204
        assert "authorization" in told["names"]
        assert told["headers"]["access-control-allow-origin"] == ORIGIN
        assert "access-control-allow-credentials" not in told["headers"]
    for told in browser.told("answer"):
        assert told["status"] == 200
        assert told["headers"]["access-control-allow-origin"] == ORIGIN
        assert told["headers"]["vary"] == "Origin"


def test_the_page_gets_nothing_from_elsewhere(house: House, wait_until: Wait) -> None:
    """An origin that is not on the list is refused before anything is asked, whatever the token."""
    for origin in ("http://localhost:3001", "https://localhost:3000", "null", "http://evil.example"):
        with running(page(house, origin), house.environ) as browser:
            wait_until(lambda browser=browser: len(browser.told("said")) >= 2, "the page to say so")
            told = browser.told("preflight")[0]
            assert told["status"] == 403, origin
            assert "access-control-allow-origin" not in told["headers"]
            assert browser.told("answer") == []
            assert browser.told("rows") == []


def test_the_page_says_that_the_token_is_wrong(house: House, wait_until: Wait) -> None:
    """A page of the right origin can read why it is refused."""
    with running(page(house, ORIGIN, token="no-token-of-this-daemon"), house.environ) as browser:
        wait_until(
            lambda: any("this is not the token" in told["text"] for told in browser.told("said")),
            "the refusal",
            seconds=30,
        )
        assert [told["status"] for told in browser.told("answer")] == [401]


def test_the_page_holds_to_its_promises() -> None:
    """It is one file: nothing comes from elsewhere, no markup is made, and the token is stored nowhere."""
    text = (UI / "page.html").read_text()
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
        "localStorage",
        "cookie =",
    ):
        assert word not in text
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", text)
