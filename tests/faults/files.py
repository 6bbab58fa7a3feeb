"""SQLite's file is locked, full, read-only, replaced, deleted or damaged; the mirror is there again."""

import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tests import builders
from tests.faults.ground import SESSIONS, Figure, Ground, Keeper, until
from tests.faults.machine import tmpfs
from tests.faults.outages import FREED, Asker
from tests.faults.refusals import endured, fill, save
from tests.faults.writers import Writers

_SESSIONS = 12
_POND = "pond"
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


def _others(ground: Ground) -> Path:
    """Return the file of another mirror: of other projects, on another host."""
    path = ground.home / "others.db"
    code = ground.home / "elsewhere"
    builders.make_project(code / "pond", {_POND: builders.v2_building(session_id=_POND)})
    other = ground.keeper(f"sqlite:///{path}", "other")
    other.ctl("sync", str(code))
    return path


def _empty(ground: Ground) -> Path:
    path = ground.home / "empty.db"
    path.touch()
    return path


def replaced(ground: Ground) -> list[Figure]:
    """Put other files in the file's place while the daemon runs: it is filled again within 15 seconds.

    First an older copy, then another mirror's, whose rows stay as they are, then an empty one. At last the
    file alone is deleted, as an operator may: what SQLite has beside it stays.
    """
    path = ground.home / "mirror.db"
    daemon = _started(ground, path)
    ids = _ids(path)
    older = _copy(path)
    save(ground, "after the copy")
    daemon.recovered(time.monotonic())
    others = _others(ground)
    theirs = _rows(others, _POND)
    assert theirs
    figures = []
    sources = {"an older copy": older, "another mirror's": others, "an empty file": _empty(ground)}
    for name, source in sources.items():
        _remove(path)
        shutil.copy(source, path)
        if ground.chance.random() < 0.5:
            save(ground, f"in the place of the file: {name}")
        since = time.monotonic()
        # To the oracle, which knows the daemon's folder alone, the others' session is one that went.
        found = until(lambda: not _drift_but(daemon, _POND), name, 15.0, daemon.tail, since)
        if source is others:
            assert _rows(path, _POND) == theirs
        figures.append(Figure("SQLite: replaced", f"by {name}, under a running daemon", 1, 0, found - since))
    path.unlink()
    took = daemon.recovered(time.monotonic(), within=15.0)
    figures.append(Figure("SQLite: replaced", "by nothing, under a running daemon", 1, 0, took))
    assert _ids(path) == ids
    assert "Traceback" not in daemon.log, daemon.tail()
    assert "Fatal" not in daemon.log, daemon.tail()
    daemon.check_clean()
    return figures


def _drift_but(daemon: Keeper, slug: str) -> list[str]:
    return [words for words in daemon.drift() if slug not in words]


def _ids(path: Path) -> dict[str, object]:
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT slug, session_id FROM sessions"))


def _rows(path: Path, slug: str) -> list[object]:
    with closing(sqlite3.connect(path)) as connection:
        return [
            connection.execute(f"SELECT * FROM {table} WHERE slug = ?", (slug,)).fetchall()
            for table in ("sessions", "session_files")
        ]


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


_MALFORMED = "the database file refuses our statements: database disk image is malformed"
_NO_DATABASE = "the database file refuses our statements: file is not a database"
_STEP = "move the file away: the mirror is rebuilt from the session files"


class Damage(NamedTuple):
    """A way to damage the file, and what is said of it by whoever opens it."""

    do: Callable[[Path], None]
    says: str


DAMAGES = {
    "garbage in its pages": Damage(_garble, _MALFORMED),
    "cut in half": Damage(_truncate, _MALFORMED),
    "another kind of file": Damage(_overwrite, _NO_DATABASE),
}


def damaged(ground: Ground) -> list[Figure]:
    """Damage the file while the daemon is down: commands end with 69, a start says so and waits for another.

    Once the file is moved away, as all of them say, the daemon that waits makes it anew.
    """
    path = ground.home / "mirror.db"
    daemon = _started(ground, path)
    ids = _ids(path)
    figures = []
    for name, damage in DAMAGES.items():
        assert daemon.end() == 0
        save(ground, f"with {name}")
        damage.do(path)
        for verb in ("sessions", "verify"):
            assert daemon.ctl(verb, code=69) == f"sessionctl: {damage.says}\n  hint: {_STEP}\n"
        daemon.start(ready=False)
        daemon.wait_for("event=db.down ", FREED)
        _check_told(daemon, damage.says)
        assert daemon.client.status().state == "starting"
        _move_away(path, name)
        took = daemon.recovered(time.monotonic(), within=15.0)
        assert _ids(path) == ids
        assert "Traceback" not in daemon.said, daemon.said
        figures.append(Figure("SQLite: damaged", f"{name}; moved away, it is made anew", 1, 0, took))
    daemon.check_clean()
    return figures


def damaged_live(ground: Ground) -> list[Figure]:
    """Damage the file under a daemon and four writers: it says so, and saves go on.

    Once the file is moved away, as it says, it is made anew with the same ids.
    """
    path = ground.home / "mirror.db"
    daemon = _started(ground, path)
    root = ground.code / "shop" / SESSIONS
    figures = []
    for name, damage in DAMAGES.items():
        ids = _ids(path)
        downs = daemon.said.count("event=db.down ")
        with Writers(root, ground.chance, _SESSIONS, pause=0.05) as writers, Asker(daemon):
            _checkpoint(path)
            damage.do(path)
            daemon.wait_for("event=db.down ", FREED, downs + 1)
            # What a connection had read before may hide the first page, which tells one from the other.
            _check_told(daemon, _MALFORMED, _NO_DATABASE)
            saves = writers.saves
            until(lambda: writers.saves > saves + 20, "saves", FREED, daemon.tail)  # noqa: B023 - asked here
            _move_away(path, name)
            moved = time.monotonic()
            writers.pause()
            took = daemon.recovered(moved, within=15.0)
        assert _ids(path).items() >= ids.items()
        until(lambda: not daemon.client.status().stale, "a fresh mirror", FREED, daemon.tail)
        words = f"{name}, under a daemon; moved away, it is made anew"
        figures.append(Figure("SQLite: damaged", words, 1, 0, took))
    for bad in ("Traceback", "Fatal", "event=sync.crashed ", "event=reconcile.crashed "):
        assert bad not in daemon.log, daemon.tail()
    daemon.check_clean()
    return figures


def _checkpoint(path: Path) -> None:
    """Move the write-ahead log into the file: what lies in the log is read from there, damage or not."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        until(lambda: other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0, "its turn", 10.0)


def _check_told(daemon: Keeper, *sentences: str) -> None:
    """The status names the damage and the next step, for programs and for people."""
    status = daemon.client.status()
    told = {f"{sentence} ({_STEP})" for sentence in sentences}
    assert not status.database.up
    assert status.database.error in told
    assert status.stale
    assert any(reason.endswith(one) for reason in status.reasons for one in told), status.reasons
    shown = daemon.ctl("status", code=1)
    assert any(one in shown for one in told), shown


def _move_away(path: Path, name: str) -> None:
    """Do what is said to do, and no more: what SQLite has beside the file stays."""
    path.rename(path.with_name(f"{name}.db"))
