"""Files that cannot be read or understood: the last good row stays, with the reason beside it, and heals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionlib.state import looks
from sessionlib.sync import snapshot
from sessionlib.sync.mirror import Outcome
from tests import builders
from tests.mirrors import World, outcomes

BAD = {
    "no JSON": b'{"topic": nope}',
    "a list": b"[]",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a template": b'{"topic": "{{ topic }}"}',
    "too deep": b'{"a":' * 101 + b"1" + b"}" * 101,
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_file_keeps_the_last_good_row_and_heals(world: World, root: Path, bad: str) -> None:
    """The session keeps its content with the error beside it, and loses the error when the file is mended."""
    folder = builders.make_session(root, "one", builders.v1_3())
    good = (folder / "state.json").read_bytes()
    world.sync(folder)
    before, parts = world.session("one"), world.rows("commits")
    builders.write_json(folder / "state.json", BAD[bad])
    world.clock.tick()
    result = world.sync(folder)[0]
    assert result.outcome is Outcome.INVALID
    assert result.error
    assert result.error.startswith("state.json ")
    assert world.session("one") == before | {"error": result.error}
    assert world.rows("commits") == parts
    assert world.file("one")["error"] == result.error
    assert world.file("one")["content_hash"] == before["content_hash"]
    assert outcomes(world, folder) == [Outcome.UNCHANGED]
    builders.write_json(folder / "state.json", good)
    assert outcomes(world, folder) == [Outcome.TOUCHED]
    assert world.session("one") == before
    assert world.file("one")["error"] is None


def test_a_file_that_was_never_good_has_an_error_and_no_session(world: World, root: Path) -> None:
    """A file that was bad from the start is visible with its error; once good it becomes a session."""
    folder = builders.make_session(root, "one", b"[]")
    assert outcomes(world, folder) == [Outcome.INVALID]
    assert world.rows("sessions") == []
    assert world.file("one")["content_hash"] is None
    assert "list" in world.file("one")["error"]
    builders.write_json(folder / "state.json", builders.v2())
    assert outcomes(world, folder) == [Outcome.WRITTEN]
    assert world.session("one")["error"] is None


def test_a_half_written_file_is_not_taken(world: World, root: Path) -> None:
    """What looks torn writes nothing; only when it stays so it is recorded as invalid."""
    folder = builders.make_session(root, "one")
    world.sync(folder)
    before = world.everything()
    (folder / "state.json").write_bytes(b'{"topic": "ha')
    assert outcomes(world, folder) == [Outcome.TORN]
    assert world.everything() == before
    result = world.mirror.sync(world.place(root), ["one"], settled={"one"})[0]
    assert result.outcome is Outcome.INVALID
    assert world.session("one")["error"] == result.error


@pytest.mark.parametrize("bad", [b'{"topic": "ha', b"[]"])
def test_a_file_mended_right_after_a_bad_reading_is_not_taken_for_the_bad_one(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch, bad: bytes
) -> None:
    """An error is never recorded under the signature of the good file that replaced the bad one."""
    folder = builders.make_session(root, "one")
    world.sync(folder)
    (folder / "state.json").write_bytes(bad)
    good = builders.v2(topic="mended")

    def mended_meanwhile(*args: Any, real: Callable[..., Any] = snapshot.decode, **kwargs: Any) -> Any:
        try:
            return real(*args, **kwargs)
        finally:
            builders.write_json(folder / "state.json", good)

    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "decode", mended_meanwhile)
        world.mirror.sync(world.place(root), ["one"], settled={"one"})
    world.reconcile(root)
    assert world.session("one")["error"] is None
    assert world.session("one")["topic"] == "mended"


def test_a_link_mended_while_it_was_refused_is_found(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state.json that was a link when it was read, and a file when it was looked at, is read again."""
    folder = builders.make_session(root, "one")
    world.sync(folder)
    (root / "elsewhere.json").write_text("{}")
    (folder / "state.json").unlink()
    (folder / "state.json").symlink_to(root / "elsewhere.json")

    def mended_meanwhile(*args: Any, real: Callable[..., Any] = snapshot.read_inputs, **more: Any) -> Any:
        try:
            return real(*args, **more)
        finally:
            builders.write_json(folder / "state.json", builders.v2(topic="mended"))

    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "read_inputs", mended_meanwhile)
        world.sync(folder)
    world.reconcile(root)
    row = world.session("one")
    assert (row["topic"], row["error"]) == ("mended", None)


def test_a_file_the_system_refuses_is_retried_by_every_reconcile(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal keeps the row with its error, is written once, and heals when the file can be read again."""
    folder = builders.make_session(root, "one", None, builders.plan(4))
    world.sync(folder)
    before = world.session("one")

    def refused(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(looks, "look_at", refused)
        result = world.sync(folder)[0]
        assert result.outcome is Outcome.UNREADABLE
        stored = world.everything()
        world.clock.tick()
        world.sync(folder)
        assert world.everything() == stored
    assert world.session("one") == before | {"error": result.error}
    assert world.file("one")["extras"]
    world.reconcile(root)
    assert world.queued == [folder]
    assert world.session("one")["error"] is None


def test_an_unreadable_file_heals_with_its_next_reading(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that could never be read has a row without content until it can."""
    folder = builders.make_session(root, "one")

    def refused(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(looks, "look_at", refused)
        assert outcomes(world, folder) == [Outcome.UNREADABLE]
    assert world.rows("sessions") == []
    assert world.file("one")["error"]
    world.reconcile(root)
    assert world.session("one")["error"] is None


def test_a_broken_plan_or_research_run_is_named(world: World, root: Path) -> None:
    """The session is read without them, and what is wrong is recorded under the name of the file it is in."""
    folder = builders.make_session(root, "one", None, b"[]", {"soil": b'{"id": nope}'})
    assert outcomes(world, folder) == [Outcome.WRITTEN]
    row = world.session("one")
    assert row["error"] is None
    noted = dict(row["warnings"])
    assert noted["plan.json"] == "holds a list at the top level, not an object"
    assert noted["research/soil/state.json"].startswith("is not JSON: ")
    assert {part["name"]: part["problem"] for part in world.rows("session_inputs")} == noted
