"""SQLite's file is locked, full, read-only, replaced, deleted or damaged; the mirror is there again."""

import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests import builders
from tests.faults.ground import Figure, Ground, Keeper, until
from tests.faults.machine import tmpfs
from tests.faults.outages import FREED, Asker
from tests.faults.refusals import endured, fill, save

_SESSIONS = 12
_CONFIG = "[watch]\nreconcile_interval = 2.0\n"


def _started(ground: Ground, path: Path) -> Keeper:
    ground.project(count=_SESSIONS)
    daemon = ground.keeper(f"sqlite:///{path}", config=_CONFIG)
    daemon.start()
    daemon.recovered()
    return daemon


def locked(ground: Ground, seconds: float) -> Figure:
    """Let another program hold the write lock; with it gone everything is there within ten seconds."""
    path = ground.home / "mirror.db"
    daemon = _started(ground, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other, Asker(daemon):
        other.execute("BEGIN IMMEDIATE")
        save(ground, "while it is locked")
        time.sleep(seconds)
        status = daemon.client.status()
        assert status.stale
        assert status.reasons
        other.execute("ROLLBACK")
        took = daemon.recovered(time.monotonic())
    assert "Traceback" not in daemon.said, daemon.tail()
    daemon.check_clean()
    return Figure("SQLite: locked", f"by another writer, {seconds:.0f} s", 1, 0, took)


def full(ground: Ground, seconds: float) -> Figure:
    """Fill the disk that the file lies on; with room everything is there within ten seconds."""
    with tmpfs(ground.home / "small", "12m") as folder:
        daemon = _started(ground, folder / "mirror.db")
        ballast = folder / "ballast"
        downs = daemon.said.count("event=db.down ")
        fill(ballast)
        for number in range(20):
            document = builders.v2_building(
                session_id=f"large-{number}", description=f"{number}" + "x" * 30_000
            )
            builders.make_session(ground.code / "shop" / "agents" / "sessions", f"large-{number}", document)
        took = endured(ground, daemon, "disk full", seconds, ballast.unlink, downs)
        daemon.check_clean()
    return Figure("SQLite: disk full", f"a full tmpfs, {seconds:.0f} s", 1, 0, took)


def read_only(ground: Ground) -> Figure:
    """Start it on a file system that takes no writes: it says so, and goes on once it may write."""
    with tmpfs(ground.home / "small", "12m") as folder:
        daemon = _started(ground, folder / "mirror.db")
        daemon.end()
        save(ground, "while it is read-only")
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        daemon.start(ready=False)
        until(lambda: _is_down(daemon), "the daemon to say so", FREED, daemon.tail)
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
        took = daemon.recovered(time.monotonic())
        daemon.check_clean()
    return Figure("SQLite: read-only", "the file system, at the start", 1, 0, took)


def _is_down(daemon: Keeper) -> bool:
    return "event=db.down " in daemon.said


def _remove(path: Path) -> None:
    for part in ("", "-wal", "-shm"):
        path.with_name(path.name + part).unlink(missing_ok=True)


def _copy(path: Path) -> Path:
    """Return a copy of a database that is in use, as its own tool makes it."""
    beside = path.with_name("older.db")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(beside)) as target:
        source.backup(target)
    return beside


def replaced(ground: Ground) -> list[Figure]:
    """Put an older copy in the file's place while the daemon runs, then another mirror's, then none."""
    path = ground.home / "mirror.db"
    daemon = _started(ground, path)
    ids = _ids(path)
    older = _copy(path)
    save(ground, "after the copy")
    daemon.recovered(time.monotonic())
    figures = []
    empty = ground.home / "empty.db"
    empty.touch()
    for name, source in (("an older copy", older), ("an empty file", empty), ("nothing", None)):
        _remove(path)
        if source is not None:
            shutil.copy(source, path)
        if ground.chance.random() < 0.5:
            save(ground, f"in the place of the file: {name}")
        took = daemon.recovered(time.monotonic(), within=15.0)
        figures.append(Figure("SQLite: replaced", f"by {name}, under a running daemon", 1, 0, took))
    assert _ids(path) == ids
    assert "Traceback" not in daemon.log, daemon.tail()
    daemon.check_clean()
    return figures


def _ids(path: Path) -> dict[str, object]:
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT slug, session_id FROM sessions"))


def _garble(path: Path) -> None:
    """Write over every second page but the first."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        for page in range(2, size // 4096, 2):
            file.seek(page * 4096)
            file.write(b"\xa5" * 4096)


def _truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _overwrite(path: Path) -> None:
    path.write_bytes(b"this is no database at all\n" * 400)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "garbage in its pages": _garble,
    "cut in half": _truncate,
    "another kind of file": _overwrite,
}


def damaged(ground: Ground) -> list[Figure]:
    """Damage the file while the daemon is down: it says so; without the file it makes it anew."""
    path = ground.home / "mirror.db"
    daemon = _started(ground, path)
    ids = _ids(path)
    figures = []
    for name, damage in DAMAGES.items():
        daemon.end()
        save(ground, f"with {name}")
        damage(path)
        daemon.start(ready=False)
        child = daemon.child
        assert child is not None
        until(lambda: _is_down(daemon) or child.poll() is not None, name, FREED, daemon.tail)  # noqa: B023
        assert "Traceback" not in daemon.said, daemon.said
        daemon.kill()
        _remove(path)
        daemon.start(ready=False)
        took = daemon.recovered()
        assert _ids(path) == ids
        figures.append(Figure("SQLite: damaged", f"{name}; removed, it is made anew", 1, 0, took))
    daemon.check_clean()
    return figures
