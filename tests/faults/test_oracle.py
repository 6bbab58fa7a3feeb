"""The judge is judged: whatever is wrong in a mirror, the oracle says so."""

import sqlite3
from contextlib import closing

import pytest

from tests import builders
from tests.faults.ground import Ground, Keeper

pytestmark = pytest.mark.timeout(120)

WRONG = {
    "UPDATE sessions SET topic = 'planted' WHERE slug = 's1'": "s1: topic",
    "UPDATE sessions SET current_phase = 'docs' WHERE slug = 's1'": "s1: current_phase",
    "UPDATE sessions SET checkpoints_completed = 0 WHERE slug = 's1'": "s1: checkpoints_completed",
    "UPDATE sessions SET missing_since = 1 WHERE slug = 's2'": "s2: has a copy, and a tombstone",
    "UPDATE session_files SET missing_since = 1 WHERE slug = 's2'": "is there and has a tombstone",
    "UPDATE session_files SET size = size + 1 WHERE slug = 's0'": "size is",
    "UPDATE session_files SET error = 'planted' WHERE slug = 's0'": "has an error",
    "UPDATE documents SET body = '{}'": "its document is another one",
    "DELETE FROM commits WHERE position = 0": "commits are",
    "DELETE FROM checkpoints WHERE number = 1": "completed are",
    "DELETE FROM session_files WHERE slug = 's1'": "is not mirrored",
    "UPDATE session_files SET path = 'else', slug = 's9' WHERE slug = 's1'": "is gone and has no tombstone",
}


def plant(daemon: Keeper, statement: str) -> None:
    """Do something to the mirror behind everybody's back."""
    with closing(sqlite3.connect(daemon.url.removeprefix("sqlite:///"))) as connection:
        assert connection.execute(statement).rowcount >= 1
        connection.commit()


def test_every_planted_wrong_row_is_noticed(ground: Ground) -> None:
    """A right mirror has no drift; with any one thing changed behind its back it has, in these words."""
    ground.project(count=3)
    daemon = ground.keeper(ground.tools.new_database("sqlite"))
    daemon.ctl("sync", str(ground.code))
    path = ground.home / "mirror.db"
    assert daemon.drift() == []
    right = path.read_bytes()
    for statement, words in WRONG.items():
        plant(daemon, statement)
        assert any(words in one for one in daemon.drift()), (statement, daemon.drift())
        for part in ("", "-wal", "-shm"):
            path.with_name(path.name + part).unlink(missing_ok=True)
        path.write_bytes(right)
    assert daemon.drift() == []


def test_every_change_of_a_file_is_noticed(ground: Ground, kind: str) -> None:
    """A mirror that has not followed drifts: a session that is new, changed, broken or gone."""
    root = ground.project(count=3)
    daemon = ground.keeper(ground.tools.new_database(kind))
    daemon.check_clean()
    builders.make_session(root, "new")
    assert [one for one in daemon.drift() if "is not mirrored" in one]
    builders.make_session(root, "s0", builders.v2_building(completed=[1], topic="changed"))
    assert [one for one in daemon.drift() if one.startswith("s0: topic")]
    builders.make_session(root, "s1", b"{")
    assert [one for one in daemon.drift() if "'s1'): cannot be read, and its row does not say so" in one]
    (root / "s2" / "state.json").unlink()
    assert [one for one in daemon.drift() if "'s2'): is gone and has no tombstone" in one]


def test_a_pass_that_writes_is_noticed(ground: Ground, kind: str) -> None:
    """A pass that had something to write fails the check that the second pass writes nothing."""
    root = ground.project(count=3)
    daemon = ground.keeper(ground.tools.new_database(kind))
    daemon.check_clean()
    asked = daemon.ctl

    def ctl(*arguments: str, code: int = 0) -> str:
        builders.make_session(root, "s0", builders.v2_building(topic=f"before {arguments}"))
        return asked(*arguments, code=code)

    daemon.ctl = ctl  # type: ignore[method-assign]
    with pytest.raises(AssertionError):
        daemon.check_clean()
