"""The whole of a process without the daemon: saves are mirrored, projects are opened, ends are clean."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from sessionlib.config import Config, DaemonConfig, DatabaseConfig
from sessionlib.db.crud import hosts, projects
from sessionlib.errors import StateNotFoundError
from sessionlib.runtime import Runtime
from sessionlib.sync.merging import merge_projects
from sessionlib.sync.mirror import Outcome
from tests import builders
from tests.mirrors import World

Wait = Callable[..., None]


@pytest.fixture
def runtime(config: Config) -> Iterator[Runtime]:
    """An open runtime."""
    with Runtime.open(config) as opened:
        yield opened


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The sessions root of a project with three sessions."""
    return builders.make_project(tmp_path / "garden", ["one", "two", "three"]) / "agents/sessions"


def topics(world: World) -> dict[str, Any]:
    return {row["slug"]: row["topic"] for row in world.rows("sessions")}


def test_a_save_is_mirrored(runtime: Runtime, world: World, root: Path, wait_until: Wait) -> None:
    """What a manager saves is visible in the database soon after, and the manager never waited for it."""
    manager = runtime.manager(root / "new")
    manager.create("A new wall")
    wait_until(lambda: topics(world).get("new") == "A new wall", "the first save")
    manager.set_details(topic="An old wall")
    wait_until(lambda: topics(world)["new"] == "An old wall", "the second save")
    assert runtime.queue.drain(5) == 0
    assert world.session("new")["version_seq"] == 2


def test_open_project(runtime: Runtime, world: World, root: Path) -> None:
    """A project is compared as a whole; a second time there is nothing to do."""
    opened = runtime.open_project(root.parent.parent)
    assert opened.wait(10)
    assert [report.ticket.counts for report in opened.reports] == [{"written": 3}]
    assert set(topics(world)) == {"one", "two", "three"}
    assert runtime.queue.drain(5) == 0
    again = runtime.open_project(root.parent.parent)
    assert again.wait(10)
    assert again.reports[0].ticket.total == 0


def test_open_a_folder_above_projects(runtime: Runtime, world: World, root: Path, tmp_path: Path) -> None:
    """Every project below is opened, one that was known and is gone is marked; without any it is an error."""
    other = builders.make_project(tmp_path / "pond", ["four"])
    assert runtime.open_project(tmp_path).wait(10)
    assert len(world.rows("sessions")) == 4
    shutil.rmtree(other)
    reports = runtime.open_project(tmp_path).reports
    assert sorted((report.total, report.missing) for report in reports) == [(0, True), (3, False)]
    with pytest.raises(StateNotFoundError):
        runtime.open_project(tmp_path / "nowhere")


def test_the_queue_is_drained_at_the_end(config: Config, world: World, tmp_path: Path) -> None:
    """What was saved before the close is in the database after it."""
    slugs = [f"s{number:02}" for number in range(30)]
    root = builders.make_project(tmp_path / "garden", slugs) / "agents/sessions"
    runtime = Runtime.open(config)
    for slug in slugs:
        runtime.manager(root / slug).set_details(topic=f"topic of {slug}")
    assert runtime.close() == 0
    assert topics(world) == {slug: f"topic of {slug}" for slug in slugs}
    assert runtime.close() == 0


def test_two_runtimes_on_one_database(config: Config, world: World, root: Path) -> None:
    """Two processes' worth of runtimes save and reconcile beside each other, and agree."""
    with Runtime.open(config) as one, Runtime.open(config) as two:
        first, second = one.manager(root / "one"), two.manager(root / "one")
        for number in range(15):
            first.add_commit(f"{number:07x}", "from the first")
            second.add_commit(f"{number + 100:07x}", "from the second")
            if number % 5 == 0:
                assert one.open_project(root.parent.parent).wait(10)
                assert two.open_project(root.parent.parent).wait(10)
    assert len(world.rows("commits")) == 30
    world.reconcile(root)
    assert world.queued == []


def test_a_folder_that_is_a_link_is_no_session(runtime: Runtime, world: World, root: Path) -> None:
    """Events for links and for folders that are gone end as absent, and leave no row."""
    (root / "link").symlink_to(root / "one")
    paths = [root / "link", root / "one", root / "gone"]
    results = runtime._sync(paths, frozenset())
    assert [result.outcome for result in results] == [Outcome.ABSENT, Outcome.WRITTEN, Outcome.ABSENT]
    assert set(topics(world)) == {"one"}
    elsewhere = root.parent / "nowhere" / "x"
    assert runtime._sync([elsewhere], frozenset())[0].outcome is Outcome.ABSENT


def test_the_same_save_through_a_link(runtime: Runtime, world: World, root: Path, tmp_path: Path) -> None:
    """A manager that came by a linked path mirrors into the row of the real one."""
    assert runtime.open_project(root.parent.parent).wait(10)
    (tmp_path / "link").symlink_to(tmp_path / "garden")
    runtime.manager(tmp_path / "link/agents/sessions/one").set_details(topic="by the link")
    assert runtime.queue.drain(5) == 0
    assert topics(world)["one"] == "by the link"
    assert len(world.rows("workspaces")) == 1


def test_a_heartbeat(runtime: Runtime) -> None:
    """Vouching writes the host's heartbeat."""
    runtime.vouch()
    with runtime.database.read() as connection:
        beats = hosts.last_beats(connection)
    assert beats[UUID(int=1)] is not None


def test_a_deleted_sqlite_file_is_built_anew(tmp_path: Path, wait_until: Wait) -> None:
    """Deleting the mirror is noticed by the next save: it goes into a new file, with its schema."""
    path = tmp_path / "mirror.db"
    settings = Config(
        database=DatabaseConfig(url=f"sqlite:///{path}"),
        daemon=DaemonConfig(state_dir=tmp_path / "state", host_id=UUID(int=1)),
    )
    root = builders.make_project(tmp_path / "garden", ["one", "two"]) / "agents/sessions"
    recovered: list[bool] = []
    with Runtime.open(settings, start=False) as runtime:
        runtime.queue.listen(on_recover=lambda: recovered.append(True), on_results=lambda *_: None)
        runtime.queue.start()
        assert runtime.open_project(root.parent.parent).wait(10)
        for left in tmp_path.glob("mirror.db*"):
            left.unlink()
        runtime.registrar.forget()
        runtime.manager(root / "one").set_details(topic="after the loss")
        wait_until(lambda: recovered, "the recovery")
        assert runtime.open_project(root.parent.parent).wait(10)
        with sqlite3.connect(path) as connection:
            rows = connection.execute("SELECT slug, topic FROM sessions ORDER BY slug").fetchall()
        connection.close()
    assert [slug for slug, _ in rows] == ["one", "two"]
    assert rows[0][1] == "after the loss"


def test_a_project_merged_by_another_process_is_looked_up_anew(
    runtime: Runtime, config: Config, world: World, root: Path, tmp_path: Path, wait_until: Wait
) -> None:
    """The first save after another process merged the project lands in the target, at once."""
    builders.make_project(tmp_path / "yard", ["far"])
    assert runtime.open_project(tmp_path).wait(10)
    with Runtime.open(config) as second:
        with second.database.read() as connection:
            source, target = (projects.find(connection, name) for name in ("garden", "yard"))
        merge_projects(second.database, second.mirror, source, target)
    runtime.manager(root / "one").set_details(topic="after the merge")
    wait_until(lambda: topics(world)["one"] == "after the merge", "the save")
    assert runtime.queue.owed == {}
    assert {row["slug"] for row in world.rows("projects")} == {"yard"}
