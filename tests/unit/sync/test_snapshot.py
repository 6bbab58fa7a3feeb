"""One reading of a session folder: what is content, what is an error, and what is worth another look."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from sessionlib.errors import StateInvalidError, StateUnreadableError
from sessionlib.state import looks
from sessionlib.state.files import look
from sessionlib.sync import snapshot
from sessionlib.sync.digests import content_hash
from tests import builders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A session with a plan and a research run."""
    return builders.make_session(
        tmp_path, "one", builders.v1_1(), builders.plan_tranches(5), {"soil": builders.research_run()}
    )


def take(folder: Path, **more: Any) -> snapshot.Snapshot:
    taken = snapshot.take(folder, **more)
    assert taken is not None
    return taken


def settle(folder: Path) -> None:
    """Let all times in a folder lie so far back that nothing is racy."""
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (10**9, 10**9))


def test_a_whole_session(folder: Path) -> None:
    """State, plan and research are read at one moment, hashed and understood together."""
    taken = take(folder)
    assert taken.error is None
    assert taken.look == look(folder)
    assert taken.state is not None
    assert taken.state_hash == taken.state.content_hash == content_hash((folder / "state.json").read_bytes())
    assert [extra.name for extra in taken.extras] == ["plan.json", "research/soil/state.json"]
    assert taken.content is not None
    assert (taken.content.checkpoints_total, taken.content.checkpoints_total_source) == (5, "plan")
    assert [run.research_id for run in taken.content.research_runs] == ["soil"]
    assert taken.inputs_hash != taken.state_hash


def test_no_folder_and_no_file(tmp_path: Path) -> None:
    """Without a state.json there is nothing to take."""
    (tmp_path / "empty").mkdir()
    assert snapshot.take(tmp_path / "empty") is None
    assert snapshot.take(tmp_path / "never") is None


@pytest.mark.parametrize("name", ["plan.json", "research/soil/state.json"])
def test_each_input_counts(folder: Path, name: str) -> None:
    """A changed or removed extra changes the inputs' hash, and not the state's."""
    first = take(folder)
    builders.write_json(folder / name, {"other": 1})
    second = take(folder)
    (folder / name).unlink()
    third = take(folder)
    assert len({taken.inputs_hash for taken in (first, second, third)}) == 3
    assert len({taken.state_hash for taken in (first, second, third)}) == 1


def test_a_bad_file_is_an_error_with_its_look(folder: Path) -> None:
    """A state.json that cannot be used is an answer, not an exception; it names the file."""
    builders.write_json(folder / "state.json", b"[1]")
    taken = take(folder)
    assert taken.content is None
    assert taken.inputs_hash is None
    assert taken.error == "state.json holds a list at the top level, not an object"
    assert taken.look == look(folder)


def test_a_link_is_an_error(folder: Path, tmp_path: Path) -> None:
    """A state.json that is a link is never followed."""
    (folder / "state.json").rename(tmp_path / "real.json")
    (folder / "state.json").symlink_to(tmp_path / "real.json")
    assert take(folder).error == "state.json is a symbolic link, not a regular file"


def test_half_a_file_is_raised_until_it_is_given_up(folder: Path) -> None:
    """What looks torn is worth another look; given up it is an error like any."""
    (folder / "state.json").write_bytes(b'{"topic": "ha')
    with pytest.raises(StateInvalidError) as caught:
        snapshot.take(folder)
    assert caught.value.torn
    taken = take(folder, give_up=True)
    assert taken.error is not None
    assert taken.error.startswith("state.json is not JSON")


def test_half_a_plan_is_raised_only_while_it_is_fresh(folder: Path) -> None:
    """A plan torn a moment ago may be in the middle of a write; an old one, or one given up, is a problem."""
    (folder / "plan.json").write_bytes(b'{"tranches": [')
    fresh = take(folder, give_up=True)
    assert [name for name, _ in fresh.problems] == ["plan.json"]
    assert fresh.error is None
    settle(folder)
    old = take(folder)
    assert old.problems == fresh.problems
    assert old.content is not None
    assert old.content.warnings[-1] == old.problems[0]
    assert old.content.checkpoints_total is None


@pytest.mark.parametrize("name", ["plan.json", "research/soil/state.json"])
def test_a_broken_extra_is_called_by_its_own_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What is wrong with a plan or a research run is said of that file, not of the session's state.json."""
    builders.write_json(folder / name, b"[]")
    taken = take(folder)
    assert taken.error is None
    assert taken.problems == ((name, "holds a list at the top level, not an object"),)
    monkeypatch.setattr("sessionlib.state.files.RACY_NS", 60 * 10**9)
    (folder / name).write_bytes(b'{"half": [')
    with pytest.raises(StateInvalidError, match=f"^{re.escape(name)} is not JSON") as caught:
        snapshot.take(folder)
    assert caught.value.torn


def test_a_fresh_half_plan_is_torn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the inputs are racy a torn plan asks for another look."""
    monkeypatch.setattr("sessionlib.state.files.RACY_NS", 60 * 10**9)
    (folder / "plan.json").write_bytes(b'{"tranches": [')
    with pytest.raises(StateInvalidError) as caught:
        snapshot.take(folder)
    assert caught.value.torn


def test_a_file_that_keeps_changing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that never holds still is torn; given up, it is recorded with a look from before."""
    before = look(folder)

    def moving(_: Path, **_more: Any) -> None:
        raise StateInvalidError("state.json kept changing", session_dir=folder, torn=True)

    monkeypatch.setattr(snapshot, "read_inputs", moving)
    with pytest.raises(StateInvalidError):
        snapshot.take(folder)
    taken = take(folder, give_up=True)
    assert (taken.look, taken.error) == (before, "state.json kept changing")


def test_what_the_system_refuses_is_raised(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is neither absence nor content."""

    def refused(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(looks, "look_at", refused)
    with pytest.raises(StateUnreadableError):
        snapshot.take(folder)


def test_extras_come_in_the_order_of_their_stored_names(tmp_path: Path) -> None:
    """The order is that of the database, so that restored content equals what was read."""
    runs = {name: {"request": 1} for name in ("b\udcff", "b", "b-c", "é", "a")}
    folder = builders.make_session(tmp_path, "one", None, builders.plan(), runs)
    names = [extra.name for extra in take(folder).extras]
    assert names == sorted(names)
    assert "research/b\\xff/state.json" in names
    assert snapshot.run_id("research/b-c/state.json") == "b-c"


def test_racy_is_what_was_written_a_moment_ago(folder: Path) -> None:
    """Long settled folders are not racy."""
    settle(folder)
    assert not take(folder).racy
