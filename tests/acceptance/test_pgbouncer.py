"""Behind a real PgBouncer in transaction mode, with fewer connections to the server than we have to it."""

import os
import pwd
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from sessionlib.db.engine import Database, take_time
from tests import builders, postgres
from tests.acceptance.processes import Daemon, asked, environment, sessionctl
from tests.ports import free_port
from tests.postgres import PostgresServer

pytestmark = pytest.mark.postgres

_SESSIONS = 30


@pytest.fixture
def bouncer(postgres_server: postgres.Server, postgres_url: str) -> Iterator[str]:
    """The URL of a fresh database through PgBouncer."""
    program = shutil.which("pgbouncer")
    if program is None:
        pytest.skip("no pgbouncer here")
    if not isinstance(postgres_server, PostgresServer):
        pytest.skip("a server of its own is needed")
    name = make_url(postgres_url).database
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="sessiond-pgbouncer-") as home:
        Path(home).chmod(0o755)
        config = Path(home, "pgbouncer.ini")
        config.write_text(
            f"[databases]\n* = host={postgres_server.home} port={postgres_server.port} user=postgres\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n"
        )
        user = pwd.getpwnam("nobody").pw_name if os.geteuid() == 0 else None
        with Path(home, "log").open("wb") as log:
            process = subprocess.Popen([program, str(config)], user=user, stderr=log, cwd=home)
        try:
            _wait(f"host=127.0.0.1 port={port} user=postgres dbname={name}")
            yield f"postgresql://postgres@127.0.0.1:{port}/{name}"
        finally:
            process.terminate()
            process.wait(10)


def _wait(conninfo: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            psycopg.connect(conninfo).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return


def test_a_daemon_mirrors_and_answers(bouncer: str, tmp_path: Path) -> None:
    """New sessions and saves arrive, several transactions share a connection, and nothing differs."""
    sessions = {f"s{number}": builders.v2_building(session_id=f"s{number}") for number in range(_SESSIONS)}
    root = builders.make_project(tmp_path / "code" / "shop", sessions) / "agents" / "sessions"
    config = tmp_path / "config.toml"
    config.write_text("[database]\npgbouncer = true\n")
    more = {"SESSIOND_CONFIG": str(config), "CLAUDE_CONFIG_DIR": str(tmp_path / "client")}
    daemon = Daemon([tmp_path / "code"], environment(bouncer, tmp_path / "state", **more), tmp_path / "log")
    try:
        daemon.start()
        for turn in range(3):
            for name in sessions:
                document = builders.v2_building(session_id=name, topic=f"{name}, turn {turn}")
                builders.make_session(root, name, document)
            assert sessionctl(daemon.environment, "rescan").returncode == 0
        assert daemon.client.status().database.up
        rows = asked(daemon.environment, "sessions", "--limit", "100")
        assert sorted(row["topic"] for row in rows) == sorted(f"{name}, turn 2" for name in sessions)
        verified = sessionctl(daemon.environment, "verify", str(tmp_path / "code"))
        assert verified.returncode == 0, verified
        assert "level=error" not in daemon.log, daemon.log
        assert "event=channel.off " in daemon.log
    finally:
        daemon.stop()


def test_limits_are_those_of_each_transaction(bouncer: str) -> None:
    """They come with it, and stay with no connection that others use."""
    database = Database(bouncer, pgbouncer=True)
    with database.read() as connection:
        shown = connection.exec_driver_sql("SHOW statement_timeout").scalar()
        take_time(connection)
        long = connection.exec_driver_sql("SHOW statement_timeout").scalar()
    with database.read() as connection:
        again = connection.exec_driver_sql("SHOW statement_timeout").scalar()
    database.close()
    with psycopg.connect(bouncer) as plain:
        beside = plain.execute("SHOW statement_timeout").fetchone()
    assert (shown, long, again, beside) == ("11s", "0", "11s", ("0",))


def test_locks_end_with_their_transaction(bouncer: str) -> None:
    """Eight threads count in turns over two connections: none is stuck behind another's lock."""
    database = Database(bouncer, pgbouncer=True)
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE counted (number int)")
        connection.exec_driver_sql("INSERT INTO counted VALUES (0)")

    def count() -> None:
        for _ in range(20):
            with database.write() as connection:
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7)")
                (now,) = connection.exec_driver_sql("SELECT number FROM counted").one()
                connection.exec_driver_sql("UPDATE counted SET number = %s", (now + 1,))

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT number FROM counted").scalar() == 160
    database.close()


def test_without_the_setting_the_error_names_it(bouncer: str, tmp_path: Path) -> None:
    """PgBouncer refuses what we ask of a connection; the sentence says what to do."""
    done = sessionctl(environment(bouncer, tmp_path / "state"), "sessions")
    assert (done.returncode, done.stderr.count("\n")) == (69, 2), done.stderr
    assert done.stderr.rstrip().endswith("hint: behind PgBouncer set database.pgbouncer = true")
