"""Rows that a database refuses: they are isolated, recorded, and never confused with an outage."""

from pathlib import Path
from typing import Any

import pytest

from sessionlib.errors import DatabaseUnavailableError, RowRejectedError
from sessionlib.sync import mapping, mirror, task
from sessionlib.sync.mirror import Outcome
from tests import builders
from tests.mirrors import World


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the row of any session with the topic ``poison`` be one that no database takes."""
    real = mapping.session_row

    def poisoned(*args: Any) -> Any:
        row = real(*args)
        return row._replace(checkpoints_total=1 << 70) if row.topic == "poison" else row

    monkeypatch.setattr(mapping, "session_row", poisoned)


@pytest.mark.usefixtures("poison")
def test_a_poison_row_is_isolated(world: World, root: Path) -> None:
    """Of fifty sessions the forty-nine good ones are written; the bad one has an error, and heals."""
    folders = [builders.make_session(root, f"s{n:02}") for n in range(50)]
    builders.write_json(folders[31] / "state.json", builders.v2(topic="poison"))
    results = world.sync(*folders)
    assert [result.slug for result in results] == [folder.name for folder in folders]
    assert [r.slug for r in results if r.outcome is not Outcome.WRITTEN] == ["s31"]
    assert results[31].outcome is Outcome.INVALID
    assert len(world.rows("sessions")) == 49
    assert world.file("s31")["error"] == results[31].error
    assert world.reconcile(root).ticket.total == 0
    builders.write_json(folders[31] / "state.json", builders.v2(topic="antidote"))
    world.reconcile(root)
    assert world.queued == [folders[31]]
    assert world.session("s31")["error"] is None


@pytest.mark.usefixtures("poison")
def test_a_row_that_turns_poison_keeps_the_last_good_one(world: World, root: Path) -> None:
    """A rejected change leaves the session as it was, with the database's words beside it."""
    folder = builders.make_session(root, "one", builders.v2(topic="good"))
    world.sync(folder)
    before = world.session("one")
    builders.write_json(folder / "state.json", builders.v2(topic="poison"))
    result = world.sync(folder)[0]
    assert world.session("one") == before | {"error": result.error}


@pytest.mark.usefixtures("poison")
def test_poison_mended_while_it_was_rejected_is_not_taken_for_poison(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of a rejected content is never recorded under the signature of what replaced it."""
    folder = builders.make_session(root, "one", builders.v2(topic="poison"))

    def mended(*args: Any, real: Any = mirror.Mirror._quarantine) -> Any:
        builders.write_json(folder / "state.json", builders.v2(topic="antidote"))
        return real(*args)

    monkeypatch.setattr(mirror.Mirror, "_quarantine", mended)
    world.sync(folder)
    world.reconcile(root)
    row = world.session("one")
    assert (row["topic"], row["error"]) == ("antidote", None)


def test_a_folder_of_which_nothing_can_be_stored_does_not_stop_its_neighbours(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where not even the error can be recorded the others are written, and the outcome says so."""
    folders = [builders.make_session(root, name) for name in ("a", "bad", "c", "d")]
    real = task.Task._file_row

    def unstorable(self: Any, place: Any, slug: str, *args: Any) -> Any:
        row = real(self, place, slug, *args)
        return row._replace(size=1 << 70) if slug == "bad" else row

    monkeypatch.setattr(task.Task, "_file_row", unstorable)
    results = world.sync(*folders)
    assert [r.outcome for r in results] == [
        Outcome.WRITTEN,
        Outcome.REJECTED,
        Outcome.WRITTEN,
        Outcome.WRITTEN,
    ]
    assert results[1].error
    assert len(world.rows("sessions")) == 3


def test_an_outage_in_mid_batch_is_no_poison(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that goes away while poison is isolated raises, and nothing is recorded as bad."""
    folders = [builders.make_session(root, f"s{n}") for n in range(4)]
    calls = iter([RowRejectedError("poison"), DatabaseUnavailableError("gone")])

    def failing(*_: Any) -> None:
        raise next(calls)

    world.place(root)
    monkeypatch.setattr(task.store, "write_new", failing)
    with pytest.raises(DatabaseUnavailableError):
        world.sync(*folders)
    assert world.rows("session_files") == []
