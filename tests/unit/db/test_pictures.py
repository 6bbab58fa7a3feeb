"""What is stored of many sessions roots, in a few statements."""

from uuid import UUID

import pytest

from sessionlib.db import pictures, store, tables
from sessionlib.db.crud import workspaces
from sessionlib.db.crud.workspaces import Root
from sessionlib.db.engine import Database
from sessionlib.db.pictures import CopyState, RootKey
from sessionlib.models import WorkspaceUpdate
from tests import worlds

NOWHERE = RootKey(UUID(int=7), UUID(int=8), worlds.ROOT)


@pytest.mark.parametrize("since", ["garbage", "2026-06-01T12:00:00", b"\xff", 7])
def test_a_time_that_is_none_is_unknown(since: object) -> None:
    """One without a zone cannot be compared with any other."""
    assert CopyState(0, "a", 1, 2, 3, 4, 5, 6, "", 1, 1, since).absent_at() is None


def test_copies_of_several_roots(database: Database) -> None:
    """Each copy comes with the turn of its root; what is known to be gone, or was not asked for, does not."""
    with database.write() as connection:
        place = worlds.add_place(connection)
        rows = [worlds.session(place, slug) for slug in ("a", "b", "gone")]
        rows += [worlds.session(place, "c", root="other"), worlds.session(place, "d", root="third")]
        worlds.write_sessions(connection, rows)
        key = RootKey(place.project_id, place.workspace_id, worlds.ROOT)
        own = [(*key, "a")]
        store.set_absence(connection, own, looks=1, since=worlds.T0, missing_since=None)
        gone = [(*key, "gone")]
        store.set_absence(connection, gone, looks=2, since=worlds.T0, missing_since=worlds.T0)
        asked = [NOWHERE, key._replace(root="other"), key]
        found = {row[1]: CopyState(*row) for row in pictures.copy_states(connection, asked)}
        assert {slug: copy.turn for slug, copy in found.items()} == {"a": 2, "b": 2, "c": 1}
        assert (found["a"].absent_looks, found["a"].absent_at()) == (1, worlds.T0)
        assert (found["b"].mtime_ns, found["b"].absent_at()) == (4, None)
        assert pictures.roots_with_absent(connection, asked) == {key}
        assert pictures.slugs(connection, place.project_id, place.workspace_id) == {
            worlds.ROOT: [("a", False), ("b", False), ("gone", True)],
            "other": [("c", False)],
            "third": [("d", False)],
        }


def test_unreadable_copies_are_counted_by_root(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those with an error that are there, in the roots that were asked for, however many these are."""
    with database.write() as connection:
        place = worlds.add_place(connection)
        rows = [worlds.session(place, slug) for slug in ("a", "b", "c", "gone")]
        worlds.write_sessions(connection, [*rows, worlds.session(place, "d", root="other")])
        key = RootKey(place.project_id, place.workspace_id, worlds.ROOT)
        files = tables.session_files
        connection.execute(files.update().where(files.c.slug != "c").values(error="torn"))
        store.set_absence(connection, [(*key, "gone")], looks=2, since=worlds.T0, missing_since=worlds.T0)
        assert pictures.unreadable(connection, [key, NOWHERE]) == {key: 2}
        monkeypatch.setattr(pictures, "_FEW", 0)
        assert pictures.unreadable(connection, [key, NOWHERE]) == {key: 2}


def test_states_of_roots(database: Database) -> None:
    """A root is settled when it, its workspace and its sessions are as the last look left them."""
    with database.write() as connection:
        place = worlds.add_place(connection)
        key = RootKey(place.project_id, place.workspace_id, worlds.ROOT)
        there = Root(*key, 5, 6, None, worlds.T0)
        workspaces.put_root(connection, there)
        (state,) = pictures.root_states(connection, [NOWHERE, key]).values()
        assert (state.is_settled_at((5, 6)), state.is_settled_missing) == (True, False)
        assert not state.is_settled_at((5, 7))
        assert not state.is_settled_at(None)
        workspaces.put_root(connection, there._replace(reconciled_at=None))
        assert not pictures.root_states(connection, [key])[key].is_settled_at((5, 6))
        workspaces.put_root(connection, there._replace(missing_since=worlds.T0))
        state = pictures.root_states(connection, [key])[key]
        assert (state.is_settled_at((5, 6)), state.is_settled_missing) == (False, False)
        workspaces.change(connection, place.workspace_id, WorkspaceUpdate(missing_since=worlds.T0))
        assert pictures.root_states(connection, [key])[key].is_settled_missing


def test_nothing_is_asked_for(database: Database) -> None:
    """No roots at all are as good a question as many."""
    with database.read() as connection:
        assert pictures.root_states(connection, []) == {}
        assert list(pictures.copy_states(connection, [])) == []
