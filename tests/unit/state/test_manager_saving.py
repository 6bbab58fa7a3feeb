"""StateManager: saving beside others, in threads, processes and editors that know no lock."""

import multiprocessing
import threading
from pathlib import Path

import pytest

from sessionlib.errors import (
    StateConflictError,
    StateRefusedError,
)
from sessionlib.state import store
from sessionlib.state.manager import StateManager
from tests import builders
from tests.states import building_fixture, on_disk  # noqa: F401 - fixtures


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
