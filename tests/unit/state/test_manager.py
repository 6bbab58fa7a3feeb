"""StateManager: locking, saving, telling, and refusing."""

import json
import logging
import multiprocessing
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sessionlib.errors import (
    PhaseNotAllowedError,
    StateConflictError,
    StateExistsError,
    StateInvalidError,
    StateLockedError,
    StateNotFoundError,
    StateReadOnlyError,
    StateRefusedError,
    StateWriteError,
)
from sessionlib.state import snapshot, store
from sessionlib.state.layout import LOCK_FILE, slug_problem
from sessionlib.state.lock import locked
from sessionlib.state.manager import StateManager
from tests import builders


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """A v2 session in its build, two of four checkpoints done."""
    return builders.make_session(tmp_path / "agents/sessions", "s1", builders.v2_building())


def on_disk(session_dir: Path) -> dict[str, Any]:
    return json.loads((session_dir / "state.json").read_text())


# --- reading -------------------------------------------------------------------------------------


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


# --- creating ------------------------------------------------------------------------------------


def test_create_makes_a_session(tmp_path: Path) -> None:
    """A new session has its folder's name, its details, and one save."""
    saves: list[Path] = []
    manager = StateManager(tmp_path / "p/agents/sessions/2026-01-01_new", saves.append)
    content = manager.create(
        "New wall",
        description="Higher.",
        branch="wall",
        base_branch="main",
        prior_session="before",
    )
    assert saves == [manager.session_dir]
    assert (content.declared_id, content.topic, content.description) == (
        "2026-01-01_new",
        "New wall",
        "Higher.",
    )
    assert (content.session_type, content.current_phase, content.status) == ("full", "spec", "active")
    assert (content.git_branch, content.git_worktree, content.git_base_branch) == ("wall", None, "main")
    assert content.prior_session_slug == "before"
    assert list(content.phase_history) == ["spec_started_at"]
    assert content.generation == "v2"
    assert content.warnings == ()


@pytest.mark.parametrize(
    ("session_type", "phase", "first"),
    [
        ("full", None, "spec"),
        ("quick", None, "plan"),
        ("quick", "build", "build"),
        ("research", None, "spec"),
    ],
)
def test_create_begins_where_the_type_does(
    tmp_path: Path, session_type: str, phase: str | None, first: str
) -> None:
    """Each type has its first phases."""
    content = StateManager(tmp_path / "s").create("t", session_type=session_type, phase=phase)
    assert (content.session_type, content.current_phase) == (session_type, first)
    assert list(content.phase_history) == [f"{first}_started_at"]


@pytest.mark.parametrize(
    ("topic", "more", "error"),
    [
        ("", {}, StateRefusedError),
        ("t", {"session_type": "feature"}, StateRefusedError),
        ("t", {"phase": "build"}, PhaseNotAllowedError),
        ("t", {"session_type": "quick", "phase": "spec"}, PhaseNotAllowedError),
        ("t", {"branch": 7}, StateRefusedError),
    ],
)
def test_create_refuses_what_does_not_fit(tmp_path: Path, topic: str, more: dict, error: type) -> None:
    """A refused session leaves no folder behind."""
    with pytest.raises(error):
        StateManager(tmp_path / "s").create(topic, **more)
    assert not (tmp_path / "s").exists()


def test_create_refuses_an_existing_session(session: Path) -> None:
    """A session is never overwritten, whatever state its file is in."""
    before = (session / "state.json").read_bytes()
    saves: list[Path] = []
    with pytest.raises(StateExistsError):
        StateManager(session, saves.append).create("again")
    assert (session / "state.json").read_bytes() == before
    assert saves == []


def test_create_fills_a_folder_that_waits(tmp_path: Path) -> None:
    """A folder made beforehand gets its state.json."""
    (tmp_path / "s").mkdir()
    assert StateManager(tmp_path / "s").create("t").topic == "t"


@pytest.mark.parametrize("name", [".hidden", "a\x01b", "x" * 256, "a\\b"])
def test_create_refuses_bad_names(tmp_path: Path, name: str) -> None:
    """A name that could not be listed, or not be a folder, is refused in words."""
    assert slug_problem(name)
    with pytest.raises(StateRefusedError, match="cannot be named"):
        StateManager(tmp_path / name).create("t")


def test_slug_rule() -> None:
    """Names of folders that exist in the wild are fine."""
    for name in (
        "2026-01-12_session-overhaul_k9m2x7",
        "research_x_20260128_124500",
        "Grün & blau",
        "x" * 255,
    ):
        assert slug_problem(name) is None
    assert slug_problem("") == "is empty"
    assert slug_problem("a/b")


def test_create_where_no_folder_can_be(tmp_path: Path) -> None:
    """A file in the way is a failed write."""
    (tmp_path / "file").touch()
    with pytest.raises(StateWriteError, match="cannot make"):
        StateManager(tmp_path / "file/s").create("t")


# --- saving and telling --------------------------------------------------------------------------


def test_change_is_one_save_and_one_call(session: Path) -> None:
    """Several details in one verb are one save; a change that says nothing new is none."""
    saves: list[Path] = []
    manager = StateManager(session, saves.append)
    assert manager.set_git(branch="b", worktree="w", base_branch=None)
    assert saves == [session]
    assert not manager.set_git(branch="b")
    assert not manager.set_git()
    assert saves == [session]
    assert (manager.content.git_branch, manager.content.git_base_branch) == ("b", None)
    assert manager.document == on_disk(session)


def test_callback_gets_the_absolute_folder_as_named(
    session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is made absolute, a link is not resolved."""
    saves: list[Path] = []
    (tmp_path / "link").symlink_to(session)
    monkeypatch.chdir(tmp_path)
    StateManager("link", saves.append).set_status("paused")
    StateManager(Path("agents/../agents/sessions/s1"), saves.append).set_status("active")
    assert saves == [tmp_path / "link", session]


def test_callback_comes_after_the_lock_is_free(session: Path) -> None:
    """Whoever is told may change the session again."""
    seen: list[str] = []

    def again(folder: Path) -> None:
        with locked(folder, 0):
            seen.append(on_disk(folder)["status"])
        if len(seen) == 1:
            StateManager(folder, again).set_status("active")

    StateManager(session, again).set_status("paused")
    assert seen == ["paused", "active"]


def test_failing_callback_is_logged_and_swallowed(session: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A mirror that is broken does not fail the save, but leaves a trace."""

    def failing(_: Path) -> None:
        message = "no mirror"
        raise RuntimeError(message)

    with caplog.at_level(logging.ERROR, logger="sessionlib.state"):
        assert StateManager(session, failing).set_status("paused")
    assert on_disk(session)["status"] == "paused"
    assert [record.getMessage() for record in caplog.records] == ["save_callback_failed"]
    assert caplog.records[0].session_dir == str(session)
    assert "no mirror" in caplog.text


def test_stop_in_callback_goes_on(session: Path) -> None:
    """What is meant to end the program is not swallowed."""

    def stop(_: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        StateManager(session, stop).set_status("paused")


def test_failed_write_is_told_too(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a failed write left something is for the mirror to see; the file is untouched."""
    saves: list[Path] = []
    before = (session / "state.json").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StateWriteError, match="No space left"):
        StateManager(session, saves.append).set_status("paused")
    assert saves == [session]
    assert (session / "state.json").read_bytes() == before
    with pytest.raises(StateWriteError):
        StateManager(session.with_name("new"), saves.append).create("t")
    assert saves == [session, session.with_name("new")]


def test_refused_change_is_not_told(session: Path) -> None:
    """Nothing was written, so nobody is told."""
    saves: list[Path] = []
    manager = StateManager(session, saves.append, lock_timeout=0)
    with pytest.raises(StateRefusedError):
        manager.set_status("sleeping")
    with locked(session), pytest.raises(StateLockedError):
        manager.set_status("paused")
    assert saves == []


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


def test_save_carries_over_what_was_edited(session: Path) -> None:
    """Keys that were edited are written, keys others changed meanwhile stay theirs."""
    saves: list[Path] = []
    manager = StateManager(session, saves.append)
    manager.document["topic"] = "Mine"
    manager.document["mine"] = {"a": 1}
    del manager.document["artifacts"]
    StateManager(session).set_status("paused")
    assert manager.save()
    now = on_disk(session)
    assert (now["topic"], now["mine"], now["status"]) == ("Mine", {"a": 1}, "paused")
    assert "artifacts" not in now
    assert manager.document == now
    assert manager.save()
    assert saves == [session, session]


def test_save_compares_if_asked(session: Path) -> None:
    """Compare and swap refuses after somebody else's change, and works after a load."""
    manager = StateManager(session)
    manager.document["topic"] = "Mine"
    StateManager(session).set_status("paused")
    with pytest.raises(StateConflictError, match="not what it was") as caught:
        manager.save(if_unchanged=True)
    assert caught.value.hint
    manager.load()
    manager.document["topic"] = "Mine"
    assert manager.save(if_unchanged=True)
    assert on_disk(session)["topic"] == "Mine"


def test_changes_compare_if_asked(session: Path) -> None:
    """Every verb takes the hash of what its caller has seen."""
    manager = StateManager(session)
    seen = manager.content_hash
    assert manager.set_status("paused", if_hash=seen)
    with pytest.raises(StateConflictError):
        manager.set_status("active", if_hash=seen)
    assert manager.set_status("active", if_hash=manager.content_hash)


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}])
def test_save_refuses_what_is_no_json(session: Path, value: object) -> None:
    """A value that cannot be written leaves the file as it was."""
    before = (session / "state.json").read_bytes()
    for key in ("odd", "topic"):
        manager = StateManager(session)
        manager.document[key] = value
        with pytest.raises(StateRefusedError, match="no JSON"):
            manager.save()
    assert (session / "state.json").read_bytes() == before


def test_document_nobody_could_read_is_not_written(session: Path) -> None:
    """A change that our own reader would refuse is refused before it is on disk."""
    before = (session / "state.json").read_bytes()
    with pytest.raises(StateRefusedError, match="unfilled template"):
        StateManager(session).set_details(topic="{{TOPIC}}")
    assert (session / "state.json").read_bytes() == before


def test_editor_without_the_lock_is_not_overwritten(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A save by somebody who knows no lock, between our read and our write, makes us start over."""
    real = store.rewrite
    edits = []

    def slow(old: bytes, document: dict) -> bytes:
        if not edits:
            edits.append(builders.write_json(session / "state.json", builders.v2_building(topic="Theirs")))
        return real(old, document)

    monkeypatch.setattr(store, "rewrite", slow)
    StateManager(session).set_status("paused")
    assert (on_disk(session)["topic"], on_disk(session)["status"]) == ("Theirs", "paused")


def test_file_that_never_holds_still_is_a_conflict(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a few attempts the change is given up, and the others' file stays."""
    real = store.rewrite
    turns = []

    def slow(old: bytes, document: dict) -> bytes:
        turns.append(1)
        builders.write_json(session / "state.json", builders.v2_building(topic=f"Theirs {len(turns)}"))
        return real(old, document)

    monkeypatch.setattr(store, "rewrite", slow)
    with pytest.raises(StateConflictError, match="kept changing"):
        StateManager(session).set_status("paused")
    assert on_disk(session)["topic"] == f"Theirs {len(turns)}"


def test_characters_no_database_takes_survive_an_edit(session: Path) -> None:
    """NUL and lone surrogates are replaced in what is shown, never in the file."""
    text = (session / "state.json").read_text().replace("Garden wall", "W\\u0000\\ud800", 1)
    builders.write_json(session / "state.json", text)
    manager = StateManager(session)
    assert manager.content.topic == "W\ufffd\ufffd"
    manager.set_details(description="new")
    manager.document["description"] = "newer"
    manager.save()
    assert '"W\\u0000\\ud800"' in (session / "state.json").read_text()


def test_only_what_changes_is_rewritten(session: Path) -> None:
    """The lines of a diff are the change and the time of the update."""
    before = (session / "state.json").read_text().splitlines()
    StateManager(session).set_git(branch="other")
    after = (session / "state.json").read_text().splitlines()
    changed = [new.strip() for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 2
    assert changed[0].startswith('"updated_at": ')
    assert changed[1] == '"branch": "other",'


# --- many at once --------------------------------------------------------------------------------


def test_threads_lose_nothing(session: Path) -> None:
    """Eight threads with a manager each: all commits are there, each once."""

    def work(thread: int) -> None:
        manager = StateManager(session, lock_timeout=30)
        for turn in range(5):
            manager.add_commit(f"{thread:04x}{turn:04x}", "m")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = StateManager(session).load()
    assert len(content.commits) == 2 + 40
    assert len({commit.sha for commit in content.commits}) == 42


def _complete(session_dir: str, numbers: list[int]) -> None:
    for number in numbers:
        StateManager(session_dir, lock_timeout=30).complete_checkpoint(number)


def test_processes_lose_nothing(session: Path) -> None:
    """Three processes complete different checkpoints of one session: none is lost."""
    StateManager(session).init_build_progress(60, reset=True)
    context = multiprocessing.get_context("spawn")
    shares = [list(range(first, 61, 3)) for first in (1, 2, 3)]
    workers = [context.Process(target=_complete, args=(str(session), share)) for share in shares]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    content = StateManager(session).load()
    assert content.checkpoints_completed_ids == tuple(range(1, 61))
    assert content.current_checkpoint is None
