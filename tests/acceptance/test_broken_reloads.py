"""Every broken configuration that a start knows, given to one running daemon: nothing changes."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from sessionlib.control.status import ConfigState
from sessionlib.errors import ControlRefusedError
from sessionlib.state.manager import StateManager
from tests import builders, loglines
from tests.acceptance.processes import Daemon, environment
from tests.configurations import Broken, cases, odd_files
from tests.conftest import Wait

# Some three hundred cases, each of which takes a fifth of a second on an idle machine.
pytestmark = pytest.mark.timeout(900)

NO_ROOTS = ("password", "a database", "a port that is no number", "a token", "daemon.state_dir")
"""Cases that are looked at once there is a folder to watch, so they get one."""

BESIDE = {
    "nothing": ("", "no folder to watch"),
    "no folder to watch": ("[sync]\nattempts = 9\n", "no folder to watch"),
    "a state folder that is a file": ('{roots}[daemon]\nstate_dir = "{file}"\n', "{file} is not a folder"),
    "a runtime folder that is a file": (
        '{roots}[daemon]\nruntime_dir = "{file}"\n',
        "{file} is not a folder",
    ),
    "a log that is a folder": ('{roots}[log]\nfile = "{folder}"\n', "{folder} is a folder"),
    "seven problems": (
        '[watch]\ndepth = -1\nquiet = "no"\n[log]\nlevel = 7\nformat = 7\n[sync]\nx = 1\ny = 1\nz = 1\n',
        "and 2 more",
    ),
}
"""What a start refuses in other words, or for what lies on the disk."""


class Bare(Daemon):
    """A daemon that has nothing but its configuration file and its home folder to go by."""

    @property
    @override
    def state_dir(self) -> Path:
        return Path(self.environment["HOME"]) / ".local/state/sessiond"


@dataclass
class Reloads:
    """A daemon, its configuration file, and what its log has said of reloads.

    Attributes:
        daemon: Running.
        folder: Holds all of it.
        saves: How many saves it has mirrored.
        seen: Bytes of the log that have been read.
        said: What was logged of reloads, as fields.
    """

    daemon: Daemon
    folder: Path
    saves: int = 0
    seen: int = 0
    said: list[dict[str, str]] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The configuration file."""
        return self.folder / "config.toml"

    @property
    def roots(self) -> str:
        """The section without which there is nothing to watch."""
        return f'[watch]\nroots = ["{self.folder}/code"]\n'

    def put(self, content: bytes) -> None:
        """Replace the configuration file, for nobody else to read."""
        new = self.path.with_name("new.toml")
        new.write_bytes(content)
        new.chmod(0o600)
        new.replace(self.path)

    def mend(self, attempts: int) -> None:
        """Put a configuration that can be used."""
        self.put(f"{self.roots}[sync]\nattempts = {attempts}\n".encode())

    def hang_up(self) -> ConfigState:
        """Send HUP; return what the status says of the configuration once it has been read."""
        before = self.daemon.client.status().config.reloaded_at
        os.kill(self.daemon.pid, signal.SIGHUP)
        deadline = time.monotonic() + 20
        while (found := self.daemon.client.status().config).reloaded_at == before:
            assert time.monotonic() < deadline, "no reload"
            time.sleep(0.002)
        return found

    def refusal(self) -> ControlRefusedError:
        """Return how POST /reload is refused."""
        with pytest.raises(ControlRefusedError) as caught:
            self.daemon.client.reload()
        return caught.value

    def logged(self) -> list[dict[str, str]]:
        """Return what was logged of reloads since the last time; every line of the log must be one."""
        with self.daemon.log_path.open("rb") as file:
            file.seek(self.seen)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self.seen += len(whole)
        told = map(loglines.fields, loglines.lines(whole))
        found = [one for one in told if one["event"].startswith(("config.", "log.suppressed"))]
        self.said += found
        return found

    def save(self, wait_until: Wait) -> None:
        """Save the session and wait until the mirror has it."""
        self.saves += 1
        topic = f"save {self.saves}"
        StateManager(self.folder / "code/garden/agents/sessions/wall").set_details(topic=topic)
        wait_until(lambda: self.daemon.client.sessions()["rows"][0]["topic"] == topic, topic)

    def settings(self) -> dict[str, Any]:
        """Return what the status tells of settings, and of the process."""
        status = self.daemon.client.status()
        return {
            "pid": status.pid,
            "roots": [asdict(root) for root in status.roots],
            "database": status.database.name,
            "workers": status.queue.workers,
            "listen": status.listen,
            "stale": status.stale,
        }


@pytest.fixture
def reloads(tmp_path: Path) -> Iterator[Reloads]:
    """A running daemon with one session, and a configuration that can be used."""
    builders.make_project(tmp_path / "code/garden", ["wall"])
    environ = environment("", tmp_path, SESSIOND_STATE_DIR="", HOME=str(tmp_path))
    unset = {"XDG_RUNTIME_DIR": "", "XDG_STATE_HOME": ""}
    path = tmp_path / "config.toml"
    daemon = Bare([], environ | unset, tmp_path / "daemon.log", ["--config", str(path)])
    made = Reloads(daemon, tmp_path)
    made.mend(3)
    try:
        daemon.start()
        yield made
    finally:
        daemon.stop()


def contents(reloads: Reloads) -> Iterator[Broken]:
    """Yield every broken file, complete enough to be wrong in no other way than its own."""
    for case in cases():
        more = reloads.roots.encode() if case.name.startswith(NO_ROOTS) else b""
        yield case._replace(content=more + case.content)
    file, folder = reloads.folder / "a-file", reloads.folder / "a-folder"
    file.touch()
    folder.mkdir()
    for name, (content, told) in BESIDE.items():
        whole = content.format(roots=reloads.roots, file=file, folder=folder)
        yield Broken(name, whole.encode(), told.format(file=file, folder=folder))


def test_every_broken_configuration(reloads: Reloads, wait_until: Wait) -> None:
    """By HUP and POST /reload: a sentence, 422, the old settings; a save, and the mended file is taken."""
    wait_until(lambda: not reloads.daemon.client.status().stale)
    before, refused = reloads.settings(), 0
    for number, case in enumerate(contents(reloads)):
        reloads.put(case.content)
        status = reloads.hang_up()
        answer = reloads.refusal()
        refused += 2
        where = str(reloads.path) if case.name not in {"nothing", "no folder to watch"} else "watch.roots"
        sentences = [status.reload_error, answer.message]
        for entry in reloads.logged():
            # The log shows so many of an event in half a minute, and counts the others.
            if entry["event"] == "config.rejected":
                assert entry["level"] == "error"
                sentences += [entry["error"]]
                assert case.told in f"{entry['error']} {entry.get('hint', '')}", case.name
        for sentence in sentences:
            assert sentence is not None, case.name
            assert where in sentence, (case.name, sentence)
            assert sentence.isprintable(), (case.name, sentence)
            assert len(sentence) < 9000, case.name
            assert not case.secret or case.secret not in sentence.replace(where, ""), case.name
        assert case.told in f"{answer.message} {answer.hint}", (case.name, answer)
        assert answer.status == 422, case.name
        assert reloads.settings() == before, case.name
        reloads.save(wait_until)
        reloads.mend(4 + number % 50)
        status = reloads.hang_up()
        assert (status.reload_error, status.needs_restart) == (None, ()), case.name
    assert reloads.daemon.stop() == 0
    reloads.logged()
    shown = [entry for entry in reloads.said if entry["event"] == "config.rejected"]
    hidden = [entry for entry in reloads.said if entry["event"] == "log.suppressed"]
    counted = sum(int(entry["suppressed"]) for entry in hidden)
    assert len(shown) + counted + sum(int(entry.get("suppressed", 0)) for entry in shown) == refused
    taken = [entry["applied"] for entry in reloads.said if entry["event"] == "config.reloaded"]
    assert taken == ["sync.attempts"] * (refused // 2)
    assert "Traceback" not in reloads.daemon.log


@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "gone", "dangling", "zeros", "below a file"])
def test_what_is_no_file(reloads: Reloads, wait_until: Wait, kind: str) -> None:
    """In place of the file: refused at once, also what has no end; and the file is taken when it is back."""
    odd = reloads.folder / "odd"
    odd.mkdir()
    found = odd_files(odd)[kind]
    wait_until(lambda: not reloads.daemon.client.status().stale)
    before = reloads.settings()
    reloads.path.unlink()
    if kind != "gone":
        reloads.path.symlink_to(found)
    began = time.monotonic()
    status = reloads.hang_up()
    answer = reloads.refusal()
    assert time.monotonic() - began < 10
    for sentence in (status.reload_error, answer.message, *(one["error"] for one in reloads.logged())):
        assert f"cannot read the configuration {reloads.path}" in (sentence or "")
    assert answer.status == 422
    assert reloads.settings() == before
    reloads.save(wait_until)
    reloads.path.unlink(missing_ok=True)
    reloads.mend(9)
    assert reloads.hang_up().reload_error is None
    shutil.rmtree(odd)
