"""Writers of every manner, exchanged folders, moving projects, crowds: the real daemon gets it right."""

import fcntl
import json
import mmap
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from sessionlib.models.base import utc_now
from tests import builders
from tests.acceptance.conftest import StartDaemon
from tests.acceptance.gardens import Garden, Wait
from tests.swapping import exchange

pytestmark = pytest.mark.timeout(180)

CROWD = 2000


@pytest.fixture
def garden(tmp_path: Path, database_url: str, wait_until: Wait) -> Garden:
    """A project that is not mirrored yet."""
    return Garden(tmp_path, database_url, wait_until)


def document(topic: str, filling: int = 0) -> bytes:
    """Return a good document as bytes."""
    return json.dumps(builders.v2(topic=topic, description="x" * filling)).encode()


def slowly(path: Path) -> None:
    """Truncate, then write in pieces, with pauses longer than the daemon's patience."""
    data = document("changed", 3000)
    with path.open("wb", buffering=0) as file:
        for start in range(0, len(data), 1000):
            file.write(data[start : start + 1000])
            time.sleep(0.2)


def appended(path: Path) -> None:
    """Write half of it and append the rest with another descriptor."""
    data = document("changed", 3000)
    path.write_bytes(data[:1500])
    with path.open("ab") as file:
        file.write(data[1500:])


def mapped(path: Path) -> None:
    """Change bytes through a mapping, which closes nothing that was opened for writing; then touch it."""
    before = path.read_bytes()
    after = before.replace(b'"topic": "good   "', b'"topic": "changed"')
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[:] = after
        memory.flush()


def like_vim(path: Path) -> None:
    """Rename the file to a backup, write a new one, remove the backup."""
    backup = path.with_name(path.name + "~")
    path.rename(backup)
    path.write_bytes(document("changed"))
    backup.unlink()


def like_emacs(path: Path) -> None:
    """Link the backup, write a temporary file beside a lock that is a dangling link, rename."""
    lock = path.with_name(f".#{path.name}")
    lock.symlink_to("somebody@somewhere.123:456")
    path.with_name(path.name + "~").hardlink_to(path)
    replaced(path)
    lock.unlink()


def replaced(path: Path) -> None:
    """Write a temporary file and rename it, as careful writers do."""
    temporary = path.with_name("4913")
    temporary.write_bytes(document("changed"))
    temporary.replace(path)


def truncated(path: Path) -> None:
    """Open with O_TRUNC and write at once."""
    path.write_bytes(document("changed"))


def removed_first(path: Path) -> None:
    """Delete, then create under the same name."""
    path.unlink()
    path.write_bytes(document("changed"))


def linked(path: Path) -> None:
    """Put a hard link to a file elsewhere in its place."""
    other = path.with_name("other.json")
    other.write_bytes(document("changed"))
    path.unlink()
    path.hardlink_to(other)


def moved_in(path: Path) -> None:
    """Move a finished folder in place of the old one."""
    fresh = path.parents[4] / f"fresh-{path.parent.name}"
    shutil.copytree(path.parent, fresh)
    (fresh / "state.json").write_bytes(document("changed"))
    exchange(fresh, path.parent)


WRITERS: tuple[Callable[[Path], None], ...] = (
    slowly,
    appended,
    mapped,
    like_vim,
    like_emacs,
    replaced,
    truncated,
    removed_first,
    linked,
    moved_in,
)


def test_every_manner_of_writing(garden: Garden, start_daemon: StartDaemon) -> None:
    """However a file is written, its row shows the end of it, without an error."""
    slugs = [writer.__name__ for writer in WRITERS]
    for slug in slugs:
        garden.save(slug, "good   ")
    garden.start(start_daemon)
    threads = [Thread(target=w, args=(garden.root / w.__name__ / "state.json",)) for w in WRITERS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    garden.wait_for(lambda row: row["topic"] == "changed" and row["error"] is None, slugs)
    garden.check_alive()


def test_files_of_any_age(garden: Garden, start_daemon: StartDaemon) -> None:
    """Times of the past, the far future and before 1970, and going back at equal size, hide no change."""
    now = utc_now().timestamp()
    stamps = {"past": 10.0, "before": -86400.0, "now": now, "soon": now + 300_000, "far": 4.2e9}
    for slug, stamp in stamps.items():
        garden.save(slug, "topic 0")
        os.utime(garden.root / slug / "state.json", (stamp, stamp))
    garden.start(start_daemon)
    for number in range(1, 5):
        for slug, stamp in stamps.items():
            path = garden.root / slug / "state.json"
            data = document(f"topic {number}")
            path.write_bytes(data) if number % 2 else builders.write_json(path, data)
            # Back by a second each time: no clock that only goes forward could tell that it is newer.
            os.utime(path, (stamp - number, stamp - number))
        garden.wait_for(lambda row, number=number: row["topic"] == f"topic {number}", stamps)
    assert {row["error"] for row in garden.rows().values()} == {None}
    garden.check_alive()


def test_sessions_that_change_places(garden: Garden, start_daemon: StartDaemon) -> None:
    """Two session folders exchanged in one step show each other's content, again and again."""
    for slug in ("one", "two"):
        garden.save(slug, slug, plan=builders.plan(4))
    garden.start(start_daemon)
    for turn in range(1, 10):
        exchange(garden.root / "one", garden.root / "two")
        wanted = {"one": "two", "two": "one"} if turn % 2 else {"one": "one", "two": "two"}
        garden.wait_until(lambda wanted=wanted: garden.topics(wanted) == wanted, "the exchange")
    garden.save("one", "after")
    garden.wait_until(lambda: garden.topics(["one"]) == {"one": "after"}, "a save after it")
    garden.check_alive()


def test_a_project_that_moves_while_it_is_written(garden: Garden, start_daemon: StartDaemon) -> None:
    """A project renamed back and forth under its writers stays one project, and its rows end right."""
    slugs = [f"s{number}" for number in range(20)]
    for slug in slugs:
        garden.save(slug, "good")
    garden.start(start_daemon)
    ids = dict(garden.tell("SELECT slug, session_id FROM sessions"))
    away = garden.code / "away"
    for turn in range(6):
        here, there = (garden.project, away) if turn % 2 == 0 else (away, garden.project)
        for slug in slugs:
            builders.make_session(here / "agents/sessions", slug, builders.v2(topic=f"turn {turn}"))
        here.rename(there)
        if turn % 3 == 2:
            garden.wait_for(lambda row, turn=turn: row["topic"] == f"turn {turn}", slugs, 80)
    garden.wait_for(
        lambda row: (row["topic"], row["error"], row["missing_since"]) == ("turn 5", None, None), slugs, 80
    )
    assert dict(garden.tell("SELECT slug, session_id FROM sessions")) == ids
    garden.check_alive()


def test_folders_removed_and_renamed_while_they_are_read(garden: Garden, start_daemon: StartDaemon) -> None:
    """Folders that come, go and change names under load leave rows that say what is there at the end."""
    slugs = [f"s{number}" for number in range(10)]
    for slug in slugs:
        garden.save(slug, "good")
    garden.start(start_daemon)
    for turn in range(40):
        for slug in slugs[:5]:
            garden.save(slug, f"turn {turn}", research={"r1": builders.research_run()})
            shutil.rmtree(garden.root / slug)
        for slug in slugs[5:]:
            garden.save(slug, f"turn {turn}")
            (garden.root / slug).rename(garden.root / f"{slug}-moved")
            (garden.root / f"{slug}-moved").rename(garden.root / slug)
    garden.wait_for(lambda row: row["topic"] == "turn 39" and row["missing_since"] is None, slugs[5:])
    garden.wait_for(lambda row: row["missing_since"] is not None, slugs[:5], 40)
    garden.check_alive()


def test_a_crowd_of_first_writes(garden: Garden, start_daemon: StartDaemon) -> None:
    """Two thousand folders, each made and written at once beside the running daemon: every row is right."""
    garden.start(start_daemon)
    garden.root.mkdir(parents=True, exist_ok=True)
    for number in range(CROWD):
        folder = garden.root / f"s{number}"
        folder.mkdir()
        (folder / "state.json").write_bytes(document(f"topic {number}"))
    wanted = {f"s{number}": f"topic {number}" for number in range(CROWD)}
    counted = "SELECT count(*) FROM sessions"
    garden.wait_until(lambda: garden.tell(counted)[0][0] == CROWD + 1, "the crowd", 50)
    garden.wait_until(lambda: garden.topics(wanted) == wanted, "its topics", 20)
    assert {row["error"] for row in garden.rows().values()} == {None}
    garden.check_alive()


def test_a_crowd_of_deep_first_writes(garden: Garden, start_daemon: StartDaemon) -> None:
    """The same with whole projects, made down to the session's file in one go."""
    garden.start(start_daemon)
    count = 100
    for number in range(count):
        folder = garden.code / f"group{number % 7}" / f"p{number}" / "agents" / "sessions" / f"s{number}"
        folder.mkdir(parents=True)
        (folder / "state.json").write_bytes(document(f"topic {number}"))
    wanted = {f"s{number}": f"topic {number}" for number in range(count)}
    garden.wait_until(lambda: garden.topics(wanted) == wanted, "the projects", 50)
    garden.check_alive()


def test_a_lock_that_nobody_frees(garden: Garden, start_daemon: StartDaemon) -> None:
    """A session's lock file that is held, a folder, a pipe or a link is nothing to the daemon."""
    made: dict[str, Callable[[Path], object]] = {
        "held": Path.touch,
        "folder": Path.mkdir,
        "fifo": os.mkfifo,
        "link": lambda path: path.symlink_to("/dev/zero"),
        "dangling": lambda path: path.symlink_to("nowhere"),
    }
    for slug in made:
        garden.save(slug, "good")
    garden.start(start_daemon)
    for slug, make in made.items():
        make(garden.root / slug / ".state.lock")
    held = os.open(garden.root / "held" / ".state.lock", os.O_RDWR)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        for slug in made:
            garden.save(slug, "changed")
        garden.wait_for(lambda row: row["topic"] == "changed", made)
    finally:
        os.close(held)
    garden.check_alive()
