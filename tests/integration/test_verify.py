"""What is drift, with which cause, and what is looked at, on both databases."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionlib.errors import StateNotFoundError
from sessionlib.state import files
from sessionlib.sync import rebuild
from sessionlib.sync.mapping import MAPPING_VERSION
from tests import builders, mirrors, verifying
from tests.mirrors import World
from tests.verifying import drifts, one_fixture, places, verified  # noqa: F401 - a fixture


def test_a_quiet_mirror_has_no_drift(world: World, root: Path) -> None:
    """Every generation of documents, with and without further inputs, is stored as it is verified."""
    folders = [builders.make_session(root, name, make()) for name, make in builders.GENERATIONS.items()]
    folders += [verifying.make(root, f"full-{name}", make()) for name, make in builders.SESSIONS.items()]
    world.sync(*folders)
    found = verified(world)
    assert (found.sessions, found.count, found.unreadable) == (len(folders), 0, [])


def test_what_is_not_mirrored_yet_says_so(world: World, root: Path, one: Path) -> None:
    """A folder without rows, and a file that changed, are drift with the time of the save in their cause."""
    verifying.make(root, "two")
    builders.write_json(one / "state.json", verifying.everything("one", topic="new"))
    verifying.aged(one)
    found = drifts(world)
    assert {Path(drift.path).name for drift in found} == {"one", "two"}
    assert ("sessions", "topic") in places(found)
    assert {drift.cause for drift in found} == {"not mirrored yet: the file was saved 3600 s ago"}
    assert {drift.advice for drift in found} == {
        f"sessionctl rescan {root}/one",
        f"sessionctl rescan {root}/two",
    }
    assert [drift.expected for drift in found if drift.column == "topic"] == ["new"]


def test_a_change_that_left_no_trace_is_found(world: World, one: Path) -> None:
    """A file restored with its size and times is no change to a reconcile; its bytes tell."""
    path = one / "state.json"
    path.write_bytes(path.read_bytes().replace(b"Garden wall", b"Barden wall"))
    row = world.file("one")
    seen = files.look(one)
    assert seen is not None
    os.utime(path, ns=(row["mtime_ns"], row["mtime_ns"]))
    seen = files.look(one)
    assert seen is not None
    verifying.edit(world, "session_files", row, ctime_ns=seen.state.ctime_ns, inode=seen.state.inode)
    assert world.reconcile(one.parent).ticket.total == 0
    found = drifts(world)
    assert ("sessions", "topic") in places(found)
    assert {drift.cause.split(" (")[0] for drift in found} == {
        "the file changed without a change of its size and times"
    }
    assert {drift.advice for drift in found} == {f"sessionctl rebuild {one}"}


def test_rows_of_another_mapping_are_told(world: World, one: Path) -> None:
    """A row that an older program has written is drift until the next reconcile."""
    verifying.edit(world, "session_files", world.file("one"), mapping_version=MAPPING_VERSION - 1)
    (drift,) = drifts(world)
    assert (drift.column, drift.stored, drift.expected) == ("mapping_version", 2, 3)
    assert drift.cause == "the row was written by another version of the mapping"
    world.reconcile(one.parent)
    assert drifts(world) == []


def test_a_folder_that_is_gone_is_drift_until_it_is_believed(world: World, root: Path, one: Path) -> None:
    """Its copy's row alone is named; a tombstone is no drift, nor what is under it."""
    world.sync(verifying.make(root, "two"))
    shutil.rmtree(one)
    (drift,) = drifts(world)
    assert (drift.table, drift.column, drift.expected) == ("session_files", None, None)
    assert (drift.path, drift.cause) == (str(one), "the folder is gone, and not marked as gone")
    assert drift.advice == f"sessionctl rescan {one}"
    world.reconcile(root)
    assert len(drifts(world)) == 1
    world.confirm(root)
    assert verified(world).sessions == 1
    assert drifts(world) == []


def test_what_came_back_is_drift_while_it_is_marked_as_gone(world: World, root: Path, one: Path) -> None:
    """A tombstone on a session that is there is named, on the copy's row and on the session's."""
    verifying.edit(world, "session_files", world.file("one"), missing_since=mirrors.NOON)
    verifying.edit(world, "sessions", world.session("one"), missing_since=mirrors.NOON)
    found = drifts(world)
    assert sorted(map(str, places(found))) == [
        "('session_files', 'missing_since')",
        "('sessions', 'missing_since')",
    ]
    assert {drift.cause for drift in found} == {"marked as gone, and there again"}
    assert verifying.rebuilt(world).rows == 2
    assert world.session("one")["missing_since"] is None
    assert drifts(world) == []


@pytest.mark.parametrize("kind", ["no copy", "all copies gone"])
def test_a_session_without_copies_is_drift(world: World, root: Path, one: Path, kind: str) -> None:
    """A session that nothing backs must be marked as gone; a rebuild does that."""
    shutil.rmtree(one)
    if kind == "no copy":
        verifying.remove(world, "session_files", world.file("one"))
    else:
        verifying.edit(world, "session_files", world.file("one"), missing_since=mirrors.NOON)
    (drift,) = drifts(world)
    assert (drift.table, drift.column, drift.path) == ("sessions", "missing_since", str(one))
    done = verifying.rebuilt(world)
    assert (done.settled, done.written) == (1, 0)
    assert world.session("one")["missing_since"] is not None
    assert drifts(world) == []
    assert verifying.rebuilt(world).settled == 0


def test_an_unknown_root_is_drift_where_it_is_looked_for(world: World, tmp_path: Path, one: Path) -> None:
    """A project that nobody has registered is named with its command, whatever folder above it is meant."""
    other = builders.make_project(tmp_path / "away" / "shop", ["a", "b"]) / "agents/sessions"
    builders.make_project(tmp_path / "away" / "empty")
    assert drifts(world) == []
    for options in ({"roots": [tmp_path / "away"]}, {}):
        paths = () if options else (tmp_path / "away",)
        (drift,) = drifts(world, *paths, **options)
        assert (drift.table, drift.path, drift.expected) == (
            "workspace_roots",
            str(other),
            "a root with 2 sessions",
        )
        assert drift.advice == f"sessionctl sync {other}"
    assert [drift.path for drift in drifts(world, other)] == [str(other)]
    assert [drift.path for drift in drifts(world, other / "a")] == [str(other)]


@pytest.mark.parametrize(
    "place", ["", "agents", "agents/sessions", "agents/sessions/one", "agents/sessions/one/research"]
)
def test_a_path_narrows_what_is_looked_at(world: World, root: Path, one: Path, place: str) -> None:
    """A project, a sessions folder and one session's folder are verified alone."""
    world.sync(verifying.make(root, "two"))
    other = verifying.make(builders.make_project(root.parents[2] / "shop") / "agents/sessions", "three")
    world.sync(other)
    for slug in ("one", "two", "three"):
        verifying.edit(world, "sessions", world.session(slug), topic="edited")
    found = verified(world, root.parents[1] / place)
    is_one = "one" in place
    assert found.sessions == (1 if is_one else 2)
    assert {Path(drift.path).name for drift in found.drifts} == ({"one"} if is_one else {"one", "two"})


def test_a_path_without_sessions_is_refused(world: World, tmp_path: Path, one: Path) -> None:
    """A folder that is not there, and one without sessions, are no clean bill."""
    (tmp_path / "empty").mkdir()
    for path, words in (
        (tmp_path / "empty", "no sessions below"),
        (tmp_path / "nowhere", "there is no folder"),
    ):
        with pytest.raises(StateNotFoundError, match=words):
            verified(world, path)


def test_a_root_behind_a_link_is_verified_where_it_lies(world: World, tmp_path: Path, one: Path) -> None:
    """A project named through a link is the project it leads to."""
    (tmp_path / "link").symlink_to(one.parents[2])
    found = verified(world, tmp_path / "link")
    assert (found.sessions, found.count) == (1, 0)
    verifying.edit(world, "sessions", world.session("one"), topic="edited")
    assert [drift.path for drift in drifts(world, tmp_path / "link")] == [str(one)]


Damage = Callable[[World, Path], object]


def _edit(table: str, **values: Any) -> Damage:
    return lambda world, one: verifying.edit(world, table, verifying.row_of(world, table, "one"), **values)


def _remove(table: str) -> Damage:
    return lambda world, one: verifying.remove(world, table, verifying.row_of(world, table, "one"))


def _save(**values: Any) -> Damage:
    def saved(world: World, one: Path) -> None:
        builders.write_json(one / "state.json", verifying.everything("one", **values))
        verifying.aged(one)

    return saved


def _touch(world: World, one: Path) -> None:
    os.utime(one / "state.json", (1_700_000_000, 1_700_000_000))


GONE = {"missing_since": mirrors.NOON}
DEEDS: dict[str, tuple[Damage, ...]] = {
    "a session marked as gone": (_edit("sessions", **GONE),),
    "a copy marked as gone": (_edit("session_files", **GONE),),
    "both marked as gone": (_edit("sessions", **GONE), _edit("session_files", **GONE)),
    "an older mapping of the copy": (_edit("session_files", mapping_version=1),),
    "an older mapping of the session": (_edit("sessions", mapping_version=1),),
    "an older mapping of both": (
        _edit("sessions", mapping_version=1),
        _edit("session_files", mapping_version=1),
    ),
    "an older mapping and an edit": (_edit("sessions", topic="x"), _edit("session_files", mapping_version=1)),
    "a new save": (_save(topic="new"),),
    "a new save and an edit": (_save(topic="new"), _edit("sessions", slug="odd")),
    "a touched file": (_touch,),
    "a touched file and an edit": (_touch, _edit("sessions", topic="x")),
    "a touched file and a part": (_touch, _remove("decisions")),
    "a touched file and an input": (_touch, _remove("session_inputs")),
    "a touched file and a mark": (_touch, _edit("sessions", **GONE)),
    "an edited path": (_edit("session_files", path="/x"),),
    "an edited hash": (_edit("session_files", inputs_hash="x"),),
    "a document": (_edit("documents", body={}),),
    "no copy": (_remove("session_files"),),
    "no copy and an edit": (_remove("session_files"), _edit("sessions", topic="x")),
    "no session": (_remove("sessions"),),
    "no part": (_remove("checkpoints"),),
    "a folder that is gone": (lambda _, one: shutil.rmtree(one),),
    "no copy of a folder that is gone": (lambda _, one: shutil.rmtree(one), _remove("session_files")),
}


@pytest.mark.parametrize("deeds", DEEDS.values(), ids=DEEDS.keys())
def test_the_command_a_drift_names_mends_it(
    world: World, root: Path, one: Path, deeds: tuple[Damage, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once each drift's own command has run, that drift is not told any more; after all of them none is."""
    monkeypatch.setattr(rebuild, "CONFIRM_AFTER", 0.0)
    world.sync(verifying.make(root, "two"))
    for deed in deeds:
        deed(world, one)
    found = drifts(world)
    assert found
    for verb in sorted({drift.advice.split()[1] for drift in found}, reverse=True):
        assert verb in {"rescan", "rebuild"}
        if verb == "rescan":
            world.reconcile(root)
            world.confirm(root)
        else:
            verifying.rebuilt(world)
        left = [(drift.table, drift.key, drift.column) for drift in drifts(world)]
        asked = [drift for drift in found if drift.advice.split()[1] == verb]
        assert [drift for drift in asked if (drift.table, drift.key, drift.column) in left] == []
    assert drifts(world) == []
