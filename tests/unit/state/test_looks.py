"""Looking at a session's inputs without reading them."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from sessionlib.errors import StateUnreadableError
from sessionlib.state import looks
from sessionlib.state.files import Signature, look
from sessionlib.state.looks import signed64
from tests import builders
from tests.refusals import refuse
from tests.states import inputs_fixture, seen  # noqa: F401 - fixtures


def test_unsigned_numbers_are_wrapped() -> None:
    """An inode beyond 2^63 fits a signed column, and two different ones stay different."""
    assert signed64(2**64 - 1) == -1
    assert signed64(2**63) == -(2**63)
    assert signed64(5) == 5
    big = SimpleNamespace(st_dev=2**64 - 1, st_ino=2**64 - 2, st_size=7, st_mtime_ns=-1, st_ctime_ns=8)
    assert Signature.of(big) == (-1, -2, 7, -1, 8)


def test_look_names_all_inputs_in_order(session: Path) -> None:
    """Plan, research folder, each run and its state file are there, sorted."""
    (session / "notes.md").write_text("not an input")
    names = [name for name, _ in seen(session).extras]
    assert names == [
        "plan.json",
        "research/",
        "research/r1/",
        "research/r1/state.json",
        "research/r2/",
        "research/r2/state.json",
    ]


def test_look_without_state_json_is_none(tmp_path: Path) -> None:
    """A folder, a missing folder and a file in its place are no session."""
    (tmp_path / "file").write_text("x")
    assert look(tmp_path) is None
    assert look(tmp_path / "gone") is None
    assert look(tmp_path / "file") is None


def test_known_look_opens_no_folder(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quiet session is compared by stats alone."""
    before = seen(session)
    refuse(monkeypatch, "scandir", errno.EMFILE, lambda _: True)
    assert seen(session, before) == before
    with pytest.raises(StateUnreadableError, match="Too many open files") as caught:
        look(session)
    assert caught.value.transient
    assert caught.value.session_dir == session


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda s: builders.write_json(s / "plan.json", {"checkpoints": [1]}), "plan.json"),
        (lambda s: builders.write_json(s / "research/r1/state.json", {"id": "x"}), "research/r1/state.json"),
        (lambda s: (s / "research/r3").mkdir(), "research/r3/"),
        (lambda s: (s / "research/r2/state.json").unlink(), "research/r2/"),
        (lambda s: (s / "research/r2/state.json").write_text("{}"), "research/r2/state.json"),
    ],
)
def test_known_look_sees_every_change(session: Path, change: Callable[[Path], object], name: str) -> None:
    """A change of any extra shows, with a known look as without."""
    before = seen(session)
    change(session)
    after = seen(session, before)
    assert after == seen(session)
    assert not after.same_inputs(before)
    assert dict(after.extras).get(name) != dict(before.extras).get(name)


def test_plan_that_appears_or_goes_is_seen(session: Path) -> None:
    """The folder's own time tells that an extra came or went."""
    (session / "plan.json").unlink()
    without = seen(session)
    assert "plan.json" not in dict(without.extras)
    builders.write_json(session / "plan.json", {})
    assert "plan.json" in dict(seen(session, without).extras)


def test_temp_and_lock_files_are_no_inputs(session: Path) -> None:
    """A new lock file moves the folder's time, and the inputs are still the same."""
    before = seen(session)
    (session / ".state.lock").touch()
    os.utime(session, ns=(1, 1))
    after = seen(session, before)
    assert after != before
    assert after.same_inputs(before)
    assert not after.same_inputs(None)


def test_swapped_folder_is_not_taken_for_the_known_one(session: Path) -> None:
    """Another folder with the same time in its place is looked at in full."""
    before = seen(session)
    stamp = session.stat().st_mtime_ns
    other = builders.make_session(session.parent, "other", {"topic": "o"})
    os.utime(other, ns=(stamp, stamp))
    session.rename(session.with_name("old"))
    other.rename(session)
    assert seen(session, before).extras == ()


def test_links_and_files_in_place_of_research_are_not_entered(tmp_path: Path) -> None:
    """A research folder or run that is a link is seen and never followed."""
    real = builders.make_session(tmp_path, "real", research={"r": {"id": "r"}})
    linked = builders.make_session(tmp_path, "linked")
    (linked / "research").symlink_to(real / "research")
    assert [name for name, _ in seen(linked).extras] == ["research/"]
    partly = builders.make_session(tmp_path, "partly", research={"own": {}})
    (partly / "research/foreign").symlink_to(real / "research/r")
    (partly / "research/.hidden").mkdir()
    assert [n for n, _ in seen(partly).extras] == ["research/", "research/own/", "research/own/state.json"]


def test_state_that_is_a_link_still_has_a_signature(tmp_path: Path) -> None:
    """The error of a linked state.json can be recorded with the link's own signature."""
    session = tmp_path / "s"
    session.mkdir()
    (tmp_path / "elsewhere").write_text("{}")
    (session / "state.json").symlink_to(tmp_path / "elsewhere")
    assert seen(session).state == Signature.of((session / "state.json").lstat())


def test_closed_research_folder_does_not_fail_the_look(
    session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permission denied on research leaves the research folder's own signature."""
    refuse(monkeypatch, "scandir", errno.EACCES, lambda path: path.endswith("research"))
    assert [name for name, _ in seen(session).extras] == ["plan.json", "research/"]


def test_closed_run_does_not_fail_the_look(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that may not be entered is known by its folder alone."""
    refuse(monkeypatch, "lstat", errno.EACCES, lambda path: path.endswith("r1/state.json"))
    names = dict(seen(session).extras)
    assert "research/r1/" in names
    assert "research/r1/state.json" not in names


def test_folders_that_vanish_under_the_look_are_left_out(
    session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Research that goes while it is listed is simply not there."""
    refuse(monkeypatch, "lstat", errno.ENOENT, lambda path: path.endswith("r1"))
    assert "research/r1/" not in dict(seen(session).extras)
    refuse(monkeypatch, "scandir", errno.ENOENT, lambda path: path.endswith("research"))
    assert [name for name, _ in seen(session).extras] == ["plan.json", "research/"]


def test_look_at_is_quiet_about_extras_that_fail(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An I/O error while comparing known extras is not taken for a change."""
    before = seen(session)
    refuse(monkeypatch, "lstat", errno.EIO, lambda path: path.endswith("plan.json"))
    with pytest.raises(StateUnreadableError, match="Input/output error"):
        look(session, before)
    assert looks.signed64(0) == 0
