"""The service in this process: reloads while it waits for its database, and what a stop leaves."""

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from sessiond import logs
from sessiond.notify import Notifier
from sessiond.parts import Parts
from sessiond.service import Service, log_options
from sessiond.signals import Signals
from sessionlib.config import Config, DaemonConfig, DatabaseConfig, SyncConfig, WatchConfig
from sessionlib.control import ControlClient
from sessionlib.errors import ConfigError, ControlRefusedError, DatabaseUnavailableError
from tests import builders
from tests.conftest import Wait


class Hand(Signals):
    """Signals that a test gives by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.on_reload: Callable[[], None] | None = None
        self.patience: list[float] = []

    def listen(self, *, on_reload: Callable[[], None], **_: Any) -> None:  # type: ignore[override]
        """Keep what a hang-up does."""
        self.on_reload = on_reload

    def give_up_after(self, seconds: float, *, code: int = 0) -> None:
        """Keep the time, and never leave."""
        del code
        self.patience.append(seconds)


class Running:
    """A service on a thread, whose configuration a test changes."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.signals = Hand()
        self.error: Exception | None = None
        self._logs = logs.set_up(log_options(config))
        self.service = Service(config, self.signals, load=self.load, logs=self._logs, notifier=Notifier(None))
        self.client = ControlClient(config.locations.socket)
        self._thread = threading.Thread(target=self.service.run)
        self._thread.start()

    def load(self) -> Config:
        """Read the configuration, as the test has left it."""
        if self.error is not None:
            raise self.error
        return self.config

    def change(self, section: str, **values: Any) -> None:
        """Edit the configuration."""
        changed = getattr(self.config, section).model_copy(update=values)
        self.config = self.config.model_copy(update={section: changed})

    @property
    def parts(self) -> Parts | None:
        """The parts, once there are any."""
        return self.service._operations._parts

    def stop(self, seconds: float = 20.0) -> float:
        """Stop; return how long it took."""
        started = time.monotonic()
        self.signals.stop.set()
        self._thread.join(seconds)
        assert not self._thread.is_alive()
        self._logs.close()
        return time.monotonic() - started


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Config]:
    """Settings whose database cannot be made while there is a file in the place of its folder."""
    runtime_dir = Path(tempfile.mkdtemp())
    monkeypatch.delenv("SESSIOND_RUNTIME_DIR", raising=False)
    builders.make_project(tmp_path / "code" / "shop", ["one"])
    state = tmp_path / "state"
    state.mkdir()
    yield Config(
        watch=WatchConfig(roots=(tmp_path / "code",)),
        database=DatabaseConfig(url=f"sqlite:///{tmp_path}/place/mirror.db"),
        sync=SyncConfig(attempts=3),
        daemon=DaemonConfig(state_dir=state, runtime_dir=runtime_dir, host_id=UUID(int=1)),
    )
    shutil.rmtree(runtime_dir)


Run = Callable[[], Running]


@pytest.fixture
def run(config: Config) -> Iterator[Run]:
    """Run a service; stopped at the end."""
    running: list[Running] = []

    def start() -> Running:
        running.append(Running(config))
        return running[-1]

    yield start
    for one in running:
        one.stop()


def test_a_reload_reaches_a_daemon_that_waits_for_its_database(
    run: Run, tmp_path: Path, wait_until: Wait
) -> None:
    """By a hang-up too: the database is opened, and its queue works, as the newest configuration says."""
    (tmp_path / "place").write_text("in the way")
    running = run()
    wait_until(lambda: running.signals.on_reload is not None)
    wait_until(lambda: "cannot be made" in (running.client.status().database.error or ""))
    running.change("sync", attempts=9)
    running.change("daemon", drain_deadline=3.0)
    assert running.signals.on_reload is not None
    running.signals.on_reload()
    wait_until(lambda: running.client.status().config.reloaded_at is not None)
    assert running.parts is None
    (tmp_path / "place").unlink()
    wait_until(lambda: running.parts is not None and not running.client.status().stale)
    assert running.parts is not None
    assert running.parts.runtime.config.sync.attempts == 9
    assert running.parts.config is running.service._config
    wait_until(lambda: running.signals.patience == [4.0])
    running.change("daemon", drain_deadline=5.0)
    running.client.reload()
    assert running.signals.patience == [4.0, 6.0]


def test_a_reload_while_the_watches_are_set_up_is_not_lost(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    """What comes between the parts and their first answer is applied to them."""
    reached, gate = threading.Event(), threading.Event()
    real = Parts.start

    def start(self: Parts) -> None:
        reached.set()
        assert gate.wait(20)
        real(self)

    monkeypatch.setattr(Parts, "start", start)
    builders.make_project(tmp_path / "more" / "garden", ["two"])
    running = run()
    assert reached.wait(10)
    status = running.client.status()
    assert (status.state, status.database.up) == ("starting", True)
    assert "watches are being set up" in status.reasons[0]
    with pytest.raises(ControlRefusedError, match="still starting"):
        running.client.rescan()
    running.change("watch", roots=(tmp_path / "code", tmp_path / "more"))
    assert running.client.reload()["applied"] == ["watch.roots"]
    gate.set()
    wait_until(lambda: len(running.client.status().workspaces) == 2, "the new root")


def test_a_reload_is_taken_over_as_a_whole_or_not(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    """When the database refuses, the log stays where it was; what needs a restart is not forgotten."""
    running = run()
    wait_until(lambda: running.parts is not None and not running.client.status().stale)
    running.change("watch", depth=2)
    assert running.client.reload() == {"applied": [], "needs_restart": ["watch.depth"]}
    refused = DatabaseUnavailableError("the new password is wrong")

    def refuse(_config: Config) -> None:
        raise refused

    monkeypatch.setattr(running.service._operations, "change", refuse)
    running.change("log", file=tmp_path / "new.log")
    with pytest.raises(ControlRefusedError, match="password"):
        running.client.reload()
    assert running.service._logs.options.file is None
    config = running.client.status().config
    assert config.reload_error == "the new password is wrong"
    assert config.needs_restart == ("watch.depth",)
    running.error = ConfigError("no")
    with pytest.raises(ControlRefusedError):
        running.client.reload()


def test_a_stop_leaves_the_truth_and_no_traceback(
    run: Run, config: Config, caplog: pytest.LogCaptureFixture, wait_until: Wait
) -> None:
    """Reloads that wait at the end are dropped in silence; the status file says what was left and why."""
    running = run()
    wait_until(lambda: running.parts is not None and not running.client.status().stale)
    gate = threading.Event()
    running.service._reloads.submit(gate.wait, 20)
    assert running.signals.on_reload is not None
    for _ in range(3):
        running.signals.on_reload()
    assert running.stop() < 5
    gate.set()
    said = json.loads(config.locations.status_file.read_text())
    assert (said["state"], said["stale"], said["reasons"]) == ("stopped", False, [])
    fresh = running.service._operations.freshness()
    time.sleep(0.05)
    assert running.service._operations.freshness() == fresh
    assert fresh.reasons[0] == "the daemon is stopping"
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.exc_info]
