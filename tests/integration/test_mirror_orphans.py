"""A session whose project is not stored any more: the database was replaced, and the mirror does not know."""

from pathlib import Path
from typing import Any

import pytest

from sessionlib.config import Config
from sessionlib.errors import RowRejectedError
from sessionlib.runtime import Runtime
from sessionlib.sync.mirror import Mirror
from sessionlib.sync.results import Outcome
from tests import builders, mirrors
from tests.mirrors import World


def test_a_session_is_not_blamed_for_it(world: World, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if somebody registers the project just then: the next comparison takes it as it is."""
    one = builders.make_session(root, "one")
    world.sync(one)
    place = world.place(root)
    mirrors.empty(world.database)
    write = Mirror._write
    tries: list[None] = []

    def written(*arguments: Any) -> Any:
        try:
            return write(*arguments)
        except RowRejectedError:
            tries.append(None)
            if len(tries) == 2:
                world.registrar.forget()
                world.place(root)
            raise

    monkeypatch.setattr(Mirror, "_write", written)
    (result,) = world.mirror.sync(place, ["one"])
    assert result.outcome is Outcome.REJECTED
    assert "foreign key" in str(result.error).lower()
    assert len(tries) == 2
    assert world.rows("session_files") == []
    world.reconcile(root)
    assert world.file("one")["error"] is None
    assert world.session("one")["missing_since"] is None


def test_a_program_registers_the_project_again(config: Config, root: Path) -> None:
    """What it saves after the database was emptied is mirrored at once, and nothing is owed."""
    one = builders.make_session(root, "one")
    runtime = Runtime.open(config)
    try:
        assert runtime.queue.submit_batch([one]).wait(20)
        mirrors.empty(runtime.database)
        ticket = runtime.queue.submit_batch([one])
        assert ticket.wait(20)
        assert ticket.counts == {"written": 1}
        assert runtime.queue.owed == {}
    finally:
        runtime.close()
