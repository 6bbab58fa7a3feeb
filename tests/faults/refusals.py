"""PostgreSQL that answers and refuses: read-only, no right, full, a newer schema, another password."""

import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from sessionlib.db import schema
from sessionlib.db.engine import Database
from tests import builders, postgres
from tests.faults import oracle
from tests.faults.ground import SESSIONS, Figure, Ground, Keeper, until
from tests.faults.machine import tmpfs
from tests.faults.outages import FREED, Asker, check_quiet

_SESSIONS = 12
_ROLE = "keeper"
_END = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{_ROLE}'"


class Served:
    """A server with one database that a role without further rights keeps its mirror in.

    Attributes:
        url: As that role, by password.
        owner_url: As the superuser.

    Args:
        ground: Where.
        tablespace: A folder of the server's for the database; None for its own.
    """

    def __init__(self, ground: Ground, tablespace: Path | None = None) -> None:
        self.server = ground.tools.own_server()
        where = ""
        if tablespace is not None:
            self.run(f"CREATE TABLESPACE small LOCATION '{tablespace}'", "postgres")
            where = " TABLESPACE small"
        self.run(f"CREATE DATABASE kept{where}", "postgres")
        self.owner_url = self.server.url("kept")
        made = Database(self.owner_url)
        schema.upgrade(made)
        made.close()
        self.run(f"CREATE ROLE {_ROLE} LOGIN PASSWORD 'first'")
        self.allow()
        hba = self.server.home / "data" / "pg_hba.conf"
        hba.write_text(f"host all {_ROLE} 127.0.0.1/32 scram-sha-256\n" + hba.read_text())
        self.run("SELECT pg_reload_conf()")
        self.url = f"postgresql://{_ROLE}:first@127.0.0.1:{self.server.port}/kept"

    def run(self, statement: str, database: str = "kept") -> None:
        """Run a statement as the superuser."""
        postgres.execute(self.server, statement, database)

    def allow(self) -> None:
        """Give the role what it needs."""
        self.run(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {_ROLE}")
        self.run(f"GRANT CREATE ON SCHEMA public TO {_ROLE}")

    def cut(self) -> None:
        """End the role's connections."""
        self.run(_END)


def _read_only(served: Served) -> Callable[[], None]:
    served.run("ALTER DATABASE kept SET default_transaction_read_only = on", "postgres")
    served.cut()

    def undo() -> None:
        served.run("ALTER DATABASE kept RESET default_transaction_read_only", "postgres")
        served.cut()

    return undo


def _permission(served: Served) -> Callable[[], None]:
    served.run(f"REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public FROM {_ROLE}")
    return served.allow


def _password(served: Served) -> Callable[[], None]:
    served.run(f"ALTER ROLE {_ROLE} PASSWORD 'second'")
    served.cut()
    return lambda: served.run(f"ALTER ROLE {_ROLE} PASSWORD 'first'")


def _table(served: Served) -> Callable[[], None]:
    served.run("ALTER TABLE session_files RENAME COLUMN extras TO others")
    return lambda: served.run("ALTER TABLE session_files RENAME COLUMN others TO extras")


REFUSALS = {
    "read-only": _read_only,
    "permission lost": _permission,
    "password changed": _password,
    "a column is gone": _table,
}


def refused(ground: Ground, names: list[str], seconds: float) -> list[Figure]:
    """Let the server refuse for a while in each of these ways, and mend it: all is there in ten seconds."""
    served = Served(ground)
    daemon = _started(ground, served)
    figures = []
    for name in names:
        save(ground, f"before {name}")
        # Counted before: what was saved may be refused at once.
        downs = daemon.said.count("event=db.down ")
        undo = REFUSALS[name](served)
        took = endured(ground, daemon, name, seconds, undo, downs)
        figures.append(Figure(f"PostgreSQL: {name}", f"{seconds:.0f} s", 1, 0, took))
    assert "second" not in daemon.log
    assert ":first@" not in daemon.log
    daemon.check_clean()
    return figures


def full(ground: Ground, seconds: float) -> Figure:
    """Fill the disk that the database lies on; with room again all is there within ten seconds."""
    with ExitStack() as stack:
        # The server's user must find its way there, and a test's own folder is nobody else's.
        probe = ground.tools.own_server()
        folder = stack.enter_context(tmpfs(probe.home / "small", "40m", mode="0777"))
        space = folder / "space"
        space.mkdir()
        subprocess.run(["chown", "--reference", probe.home, str(space)], check=True)
        space.chmod(0o700)
        served = Served(ground, space)
        daemon = _started(ground, served)
        ballast = folder / "ballast"

        def room() -> None:
            ballast.unlink()

        downs = daemon.said.count("event=db.down ")
        fill(ballast)
        text = "x" * 30_000
        for number in range(40):
            document = builders.v2_building(session_id=f"large-{number}", description=f"{number}{text}")
            builders.make_session(ground.code / "shop" / "agents" / "sessions", f"large-{number}", document)
        took = endured(ground, daemon, "out of disk", seconds, room, downs)
        daemon.check_clean()
        served.server.stop()
    return Figure("PostgreSQL: out of disk", f"a tablespace on a full tmpfs, {seconds:.0f} s", 1, 0, took)


def newer(ground: Ground) -> Figure:
    """Let another program upgrade the schema: a start is refused with 78, and loses nothing."""
    served = Served(ground)
    daemon = _started(ground, served)
    served.run("UPDATE alembic_version SET version_num = '9999'")
    save(ground, "under a newer schema")
    daemon.end()
    daemon.start(ready=False)
    assert daemon.child is not None
    assert daemon.child.wait() == 78, daemon.tail()
    assert "newer" in daemon.said, daemon.said
    served.run(f"UPDATE alembic_version SET version_num = '{schema.HEAD}'")
    daemon.start(ready=False)
    took = daemon.recovered()
    daemon.check_clean()
    return Figure("PostgreSQL: schema newer", "refused with 78", 1, 0, took)


def upgraded(ground: Ground, kind: str, seconds: float) -> Figure:
    """Let another program upgrade the schema under a daemon: it writes no more until that is mended."""
    ground.project(count=_SESSIONS)
    daemon = ground.keeper(ground.tools.new_database(kind), config="[watch]\nreconcile_interval = 1.0\n")
    daemon.start()
    daemon.recovered()
    database = Database(daemon.url)

    def stamp(revision: str) -> None:
        with database.write() as connection:
            connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")

    try:
        with Asker(daemon):
            stamp("9999")
            # Nothing is saved: it looks by itself.
            daemon.wait_for("event=db.down ", FREED)
            save(ground, "under a newer schema")
            before = oracle.Mirror(daemon.url).digest()
            time.sleep(seconds)
            status = daemon.client.status()
            assert not status.database.up
            assert "newer" in str(status.database.error)
            # Whoever asks is refused, too: nothing is compared, and nothing taken for gone.
            gone = ground.code / "shop" / SESSIONS / "s1"
            gone.rename(ground.home / "s1")
            for _ in range(2):
                daemon.ctl("rescan", str(ground.code / "shop"), code=78)
                time.sleep(1.0)
            (ground.home / "s1").rename(gone)
            assert oracle.Mirror(daemon.url).digest() == before
            assert daemon.drift()
            stamp(schema.HEAD)
            took = daemon.recovered(time.monotonic())
            until(lambda: daemon.client.status().database.up, "the status to agree", 10.0, daemon.tail)
            # Once more, and nothing at all is to be done when it is mended.
            stamp("9999")
            daemon.wait_for("event=db.down ", FREED, 2)
            stamp(schema.HEAD)
            until(lambda: daemon.client.status().database.up, "the status to agree", 10.0, daemon.tail)
    finally:
        database.close()
    assert daemon.said.count("event=db.down ") == daemon.said.count("event=db.up ") == 2, daemon.said
    check_quiet(daemon)
    daemon.check_clean()
    return Figure("schema newer under a daemon", f"{kind}, {seconds:.0f} s", 2, 0, took)


def _started(ground: Ground, served: Served) -> Keeper:
    ground.project(count=_SESSIONS)
    daemon = ground.keeper(served.url)
    daemon.url = served.owner_url
    daemon.start()
    daemon.recovered()
    return daemon


def save(ground: Ground, topic: str) -> None:
    """Save every session with a topic."""
    for number in range(_SESSIONS):
        document = builders.v2_building(session_id=f"s{number}", topic=topic)
        builders.make_session(ground.code / "shop" / "agents" / "sessions", f"s{number}", document)


def endured(
    ground: Ground,
    daemon: Keeper,
    name: str,
    seconds: float,
    undo: Callable[[], object],
    downs: int | None = None,
) -> float:
    """Save while it is refused, let the daemon say so, mend it, and return the seconds until all is there.

    Args:
        ground: Whose sessions are saved.
        daemon: It runs.
        name: Of the fault.
        seconds: How long it lasts once the daemon has said so.
        undo: Mends it.
        downs: How often it had said so before the fault; as often as it has now without.
    """
    if downs is None:
        downs = daemon.said.count("event=db.down ")
    with Asker(daemon):
        save(ground, f"meanwhile: {name}")
        daemon.wait_for("event=db.down ", FREED, downs + 1)
        status = daemon.client.status()
        assert not status.database.up
        assert status.database.error
        time.sleep(seconds)
        assert daemon.drift()
        undo()
        took = daemon.recovered(time.monotonic())
    until(lambda: daemon.client.status().database.up, "the status to agree", 10.0, daemon.tail)
    assert daemon.said.count("event=db.down ") == downs + 1, daemon.said
    check_quiet(daemon)
    return took


def fill(ballast: Path) -> None:
    """Write a file until its disk is full."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 65536)
        except OSError:
            pass
