"""Many syncs of the same sessions at once, in threads and in processes, killed ones included."""

import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from sessionlib.db.engine import Database
from sessionlib.state.document import interpret
from sessionlib.sync import mirror, reading
from tests import builders
from tests.mirrors import World

Wait = Callable[..., None]


def numbered(number: int) -> dict[str, Any]:
    """Return a document whose topic, commits and checkpoints all tell its number."""
    count = number % 7
    return builders.v2_building(
        7, range(1, count + 1), topic=str(number), updated_at=builders.at(number % 90)
    )


def save_often(folder: Path, times: int) -> None:
    for number in range(1, times + 1):
        builders.write_json(folder / "state.json", numbered(number))


def program(database: Database, root: Path, how: str) -> subprocess.Popen[bytes]:
    url = database.url.render_as_string(hide_password=False)
    return subprocess.Popen([sys.executable, "-m", "tests.syncing", url, str(root), how])


def check_consistent(world: World) -> None:
    """Every session shows one document, and its parts are those of that document."""
    bodies = {row["content_hash"]: row["body"] for row in world.rows("documents")}
    for row in world.rows("sessions"):
        content = interpret(bodies[row["content_hash"]])
        mine = {"session_id": row["session_id"]}
        assert row["topic"] == content.topic
        assert len(world.rows("commits", **mine)) == len(content.commits)
        done = [part["number"] for part in world.rows("checkpoints", **mine) if part["completed"]]
        assert done == list(content.checkpoints_completed_ids)
        assert row["content_hash"] == world.file(row["slug"])["content_hash"]
        versions = world.rows("session_versions", **mine)
        assert [version["seq"] for version in versions] == list(range(1, row["version_seq"] + 1))
        assert versions[-1]["content_hash"] == row["content_hash"]


def check_never_stale(world: World, last: int) -> None:
    """The row shows the last document, and the history never went back to an older one."""
    bodies = {row["content_hash"]: row["body"] for row in world.rows("documents")}
    numbers = [int(bodies[row["content_hash"]]["topic"]) for row in world.rows("session_versions")]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == last
    times = [row["at"] for row in world.rows("session_versions")]
    assert times == sorted(times)
    assert world.session("one")["topic"] == str(last)
    check_consistent(world)


def test_an_old_snapshot_never_overwrites_a_newer_one(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync that read early and got the lock late looks again, and writes what is there then."""
    folder = builders.make_session(root, "one", numbered(0))
    world.sync(folder)
    builders.write_json(folder / "state.json", numbered(1))
    real = reading.read

    def overtaken(*args: Any, **more: Any) -> Any:
        found = real(*args, **more)
        monkeypatch.setattr(reading, "read", real)
        builders.write_json(folder / "state.json", numbered(2))
        world.sync(folder)
        return found

    monkeypatch.setattr(reading, "read", overtaken)
    assert world.sync(folder)[0].outcome is mirror.Outcome.UNCHANGED
    check_never_stale(world, 2)


def test_eight_threads_and_a_saver(world: World, root: Path) -> None:
    """Eight threads sync one session while it is saved 300 times: no old snapshot overwrites a newer one."""
    folder = builders.make_session(root, "one", numbered(0))
    place = world.place(root)
    done = Event()

    def sync() -> int:
        count = 0
        while not done.is_set():
            world.mirror.sync(place, ["one"])
            count += 1
        world.mirror.sync(place, ["one"])
        return count

    with ThreadPoolExecutor(8) as pool:
        syncing = [pool.submit(sync) for _ in range(8)]
        try:
            save_often(folder, 300)
        finally:
            done.set()
        assert all(future.result(30) >= 0 for future in syncing)
    check_never_stale(world, 300)


def test_threads_that_sync_overlapping_batches(world: World, root: Path) -> None:
    """Batches that share sessions and documents, in different orders, neither deadlock nor mix."""
    slugs = [f"s{number}" for number in range(12)]
    for number, slug in enumerate(slugs):
        builders.make_session(root, slug, numbered(number % 5))
    place = world.place(root)

    def sync(turn: int) -> None:
        mine = slugs[turn:] + slugs[: turn // 2]
        for number in range(4):
            builders.write_json(root / slugs[turn] / "state.json", numbered(turn + number))
            world.mirror.sync(place, mine[::-1] if turn % 2 else mine)

    with ThreadPoolExecutor(6) as pool:
        for future in [pool.submit(sync, turn) for turn in range(6)]:
            future.result(30)
    world.sync(*(root / slug for slug in slugs))
    check_consistent(world)
    assert world.reconcile(root).ticket.total == 0


def test_two_worktrees_synced_at_once(world: World, tmp_path: Path) -> None:
    """Copies that change together in two checkouts leave the row that the copies then say."""
    main = builders.make_project(builders.make_git_repo(tmp_path / "main"))
    tree = builders.make_project(builders.make_worktree(main, tmp_path / "tree"))
    roots = [path / "agents/sessions" for path in (main, tree)]
    places = [world.place(root) for root in roots]

    def work(index: int) -> None:
        for number in range(25):
            hours = (number * 7 + index * 3) % 50
            document = builders.v2(topic=f"{index}-{number}", updated_at=builders.at(hours))
            builders.make_session(roots[index], "one", document)
            world.mirror.sync(places[index], ["one"])

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(work, index) for index in (0, 1)]:
            future.result(30)
    # Of the last ones, 24 * 7 % 50 = 18 and 21 hours, the second checkout's is the latest.
    row = world.session("one")
    assert row["topic"] == "1-24"
    assert row["workspace_id"] == places[1].workspace_id
    times = [version["at"] for version in world.rows("session_versions")]
    assert times == sorted(times)


def test_two_processes_and_a_saver(world: World, root: Path, wait_until: Wait) -> None:
    """Two processes sync one session while it is saved 100 times: the last file is what is shown."""
    folder = builders.make_session(root, "one", numbered(0))
    world.place(root)
    stop = root.parent / "stop"
    processes = [program(world.database, root, f"until:{stop}") for _ in range(2)]
    try:
        wait_until(lambda: len(list(root.parent.glob("ready-*"))) == 2, "both processes", 20)
        save_often(folder, 100)
    finally:
        stop.touch()
        codes = [process.wait(30) for process in processes]
    assert codes == [0, 0]
    check_never_stale(world, 100)


@pytest.mark.parametrize("step", [2, 3, 4])
def test_a_process_killed_in_mid_sync(world: World, root: Path, step: int) -> None:
    """A process that is killed between two statements leaves what was there; the next sync does it all."""
    folders = [builders.make_session(root, f"s{n}", numbered(3)) for n in range(5)]
    world.sync(*folders)
    before = world.everything()
    for folder in folders:
        builders.write_json(folder / "state.json", numbered(5))
    assert program(world.database, root, f"die:{step}").wait(30) == -signal.SIGKILL
    assert world.everything() == before
    world.reconcile(root)
    assert world.queued == folders
    check_consistent(world)
    assert world.session("s0")["topic"] == "5"
