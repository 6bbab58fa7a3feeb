"""StateManager: loading a session, whatever stands in its folder, and refusing to change it."""

import threading
import time
from pathlib import Path

import pytest

from sessionlib.errors import (
    StateInvalidError,
    StateNotFoundError,
    StateReadOnlyError,
)
from sessionlib.state import snapshot
from sessionlib.state.layout import LOCK_FILE
from sessionlib.state.manager import StateManager
from tests import builders
from tests.states import building_fixture, on_disk  # noqa: F401 - fixtures


def test_load_shows_document_content_and_hash(session: Path) -> None:
    """What is loaded is the raw document, its meaning, and a hash to compare with."""
    builders.write_json(session / "plan.json", builders.plan(4))
    manager = StateManager(session, read_only=True)
    content = manager.load()
    assert manager.content is content
    assert manager.document == on_disk(session)
    assert content.checkpoints[0].title == "Course 1"
    assert len(manager.content_hash) == 64
    assert not (session / LOCK_FILE).exists()


def test_first_look_loads(session: Path) -> None:
    """Document, content and hash load the session when nobody did."""
    assert StateManager(session).document["topic"] == "Garden wall"
    assert StateManager(session).content.topic == "Garden wall"
    assert StateManager(session).content_hash == StateManager(str(session)).content_hash


def test_missing_session_is_not_found(tmp_path: Path) -> None:
    """Neither reading nor changing makes a session out of nothing."""
    with pytest.raises(StateNotFoundError):
        StateManager(tmp_path / "gone").load()
    with pytest.raises(StateNotFoundError):
        StateManager(tmp_path / "gone").set_status("paused")
    assert not (tmp_path / "gone").exists()


def test_broken_plan_and_research_say_nothing(session: Path) -> None:
    """A broken plan.json or research run does not keep anybody from the session."""
    builders.write_json(session / "plan.json", b"{")
    (session / "research/r1").mkdir(parents=True)
    builders.write_json(session / "research/r1/state.json", b"[]")
    assert StateManager(session).load().research_runs == ()


def test_torn_file_is_looked_at_again(session: Path) -> None:
    """A write in place that ends soon is waited for; one that does not is an error."""
    whole = (session / "state.json").read_bytes()
    (session / "state.json").write_bytes(whole[:50])

    def finish() -> None:
        time.sleep(0.03)
        (session / "state.json").write_bytes(whole)

    writer = threading.Thread(target=finish)
    writer.start()
    assert StateManager(session).load().topic == "Garden wall"
    writer.join()
    (session / "state.json").write_bytes(whole[:50])
    with pytest.raises(StateInvalidError) as caught:
        StateManager(session).load()
    assert caught.value.torn


def test_broken_file_is_refused_at_once(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waiting cannot heal is not waited for."""
    builders.write_json(session / "state.json", b"[]")
    monkeypatch.setattr(snapshot.time, "sleep", lambda _: pytest.fail("waited"))
    with pytest.raises(StateInvalidError, match="a list at the top level"):
        StateManager(session).set_status("paused")


def test_read_only_refuses_everything(session: Path) -> None:
    """A read-only manager changes nothing and leaves no lock file."""
    manager = StateManager(session, read_only=True)
    with pytest.raises(StateReadOnlyError):
        manager.set_status("paused")
    with pytest.raises(StateReadOnlyError):
        manager.save()
    with pytest.raises(StateReadOnlyError):
        StateManager(session.with_name("new"), read_only=True).create("t")
    assert not (session / LOCK_FILE).exists()
    assert not session.with_name("new").exists()
