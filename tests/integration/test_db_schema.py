"""Creating, upgrading and refusing a schema, by one process and by several at once."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text

from sessionlib.db import schema, tables, views
from sessionlib.db.engine import Database
from sessionlib.db.schema import SchemaState
from sessionlib.errors import ConfigError, SchemaMismatchError, SchemaMissingError
from sessionlib.models import FALLBACK_IDENTITY_ID
from tests import postgres

UPGRADE = """
import sys
from sessionlib.db import schema
from sessionlib.db.engine import Database
database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(schema.upgrade(database))
database.close()
"""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without any table, once of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/new/mirror.db"
        return
    server: postgres.Server = request.getfixturevalue("postgres_server")
    name = f"sessiond_empty_{os.getpid()}"
    postgres.execute(server, f"CREATE DATABASE {name}")
    yield server.url(name)
    postgres.execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    """A database without any table, once of each kind."""
    database = Database(empty_url)
    yield database
    database.close()


def test_upgrade_is_idempotent(empty: Database) -> None:
    """The first upgrade makes the schema, further ones change nothing, and each says what it found."""
    assert schema.state(empty) is SchemaState.MISSING
    assert schema.upgrade(empty) is SchemaState.MISSING
    with empty.write() as connection:
        connection.execute(text("UPDATE identities SET description = 'mine'"))
    assert schema.upgrade(empty) is SchemaState.CURRENT
    assert schema.state(empty) is SchemaState.CURRENT
    schema.require_current(empty)
    with empty.read() as connection:
        rows = connection.execute(select(tables.identities.c.identity_id, tables.identities.c.description))
        assert rows.all() == [(FALLBACK_IDENTITY_ID, "mine")]
        assert schema.current_revision(connection) == schema.HEAD


def test_four_processes_upgrade_at_once(empty_url: str) -> None:
    """Four processes that upgrade an empty database at the same moment all succeed; one did the work."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", UPGRADE, empty_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    outcomes = [process.communicate(timeout=40) for process in running]
    assert [process.returncode for process in running] == [0] * 4, outcomes
    assert sorted(out for out, _ in outcomes) == ["current\n"] * 3 + ["missing\n"]


def test_newer_schema_is_refused(empty: Database) -> None:
    """A revision this program does not know stops it, with a hint, and nothing is changed."""
    schema.upgrade(empty)
    with empty.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        before = inspect(connection).get_table_names()
    assert schema.state(empty) is SchemaState.NEWER
    for call in (schema.upgrade, schema.require_current):
        with pytest.raises(SchemaMismatchError, match="newer than this program") as caught:
            call(empty)
        assert caught.value.exit_code == 78
        assert caught.value.hint
        assert not caught.value.transient
    with empty.read() as connection:
        assert schema.current_revision(connection) == "9999"
        assert inspect(connection).get_table_names() == before


def test_missing_schema(empty: Database) -> None:
    """A command that does not upgrade says what would, and makes nothing."""
    with pytest.raises(SchemaMissingError, match="no mirror yet") as caught:
        schema.require_current(empty)
    assert "sessionctl db upgrade" in str(caught.value.hint)
    assert caught.value.exit_code == 78
    with empty.read() as connection:
        assert inspect(connection).get_table_names() == []


def test_older_schema(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older revision of ours is told from a newer one."""
    schema.upgrade(empty)
    monkeypatch.setattr(schema, "HEAD", "of a later release")
    assert schema.state(empty) is SchemaState.OLDER
    with pytest.raises(SchemaMissingError, match="older than this program"):
        schema.require_current(empty)


def test_upgrade_from_the_first_revision(empty: Database) -> None:
    """A database at our first revision is brought to the newest one, and all revisions are known."""
    config = Config()
    config.set_main_option("script_location", "sessionlib:db/migrations")
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert set(revisions) == schema._KNOWN
    with empty.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revisions[-1])
    assert schema.upgrade(empty) is SchemaState.OLDER
    schema.require_current(empty)
    with empty.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []


def test_database_of_somebody_else(empty: Database) -> None:
    """Tables of another program with our names are not touched, and the error says so."""
    with empty.write() as connection:
        connection.execute(text("CREATE TABLE projects (id integer)"))
    for call in (schema.upgrade, schema.require_current):
        with pytest.raises(SchemaMismatchError, match="not ours") as caught:
            call(empty)
        assert "projects" in caught.value.message
        assert caught.value.hint
    with empty.read() as connection:
        assert inspect(connection).get_table_names() == ["projects"]


def test_a_failed_migration_leaves_nothing(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that fails at its end is undone as a whole, and the next try succeeds."""
    monkeypatch.setattr(views, "statements", lambda _: ("CREATE VIEW SELEC nothing_here",))
    with pytest.raises(Exception, match="nothing_here"):
        schema.upgrade(empty)
    with empty.read() as connection:
        assert inspect(connection).get_table_names() == []
    monkeypatch.undo()
    assert schema.upgrade(empty) is SchemaState.MISSING


_USED = (
    *("messages", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
    *("unpriced", "cost_usd"),
)
VIEWS = {
    "session_documents": "project_id session_id project root slug content_hash size document",
    "session_goals": "project_id session_id level position goal",
    "session_open_questions": "project_id session_id position question",
    "mcp_usage": (
        "usage_id project_id project session_id conversation agent_id workflow_session_id session phase "
        "mcp_server tool_name called_at ended_at execution_time_ms duration_ms success outcome error_message "
        "input_size_bytes output_size_bytes"
    ),
    "agent_sessions": (
        "session_id parent_session_id parent_agent_id project_id project conversation agent_type "
        "task_description task model status success error_message spawned_at completed_at "
        f"{' '.join(_USED[:-1])} estimated_cost_usd cost_usd workflow_session_id session phase "
        "checkpoint_number"
    ),
    "failed_agents": (
        "project_id project agent_id conversation_id conversation kind agent_type task error model "
        "started_at ended_at cost_usd session_id session phase checkpoint_number"
    ),
    "project_costs": f"project_id project conversations agents {' '.join(_USED)}",
    "session_costs": (
        f"project_id project session_id session phase status conversations agents {' '.join(_USED)}"
    ),
    "phase_costs": f"project_id project phase sessions conversations {' '.join(_USED)}",
    "conversation_overview": (
        "project_id project conversation_id client conversation title identity identity_source host status "
        "started_at last_activity_at ended_at end_reason end_estimated model git_branch cwd sessions agents "
        f"agents_failed {' '.join(_USED)}"
    ),
}


def test_views_have_the_same_columns(database: Database) -> None:
    """The views stand on both databases, with the same columns in the same order."""
    with database.read() as connection:
        found = inspect(connection)
        assert sorted(found.get_view_names()) == sorted(VIEWS)
        for name, wanted in VIEWS.items():
            assert [column["name"] for column in found.get_columns(name)] == wanted.split()


def test_sqlite_file_is_private(tmp_path: Path) -> None:
    """The file, its journals and the folder made for it are the owner's alone, whatever the umask."""
    before = os.umask(0)
    try:
        database = Database(f"sqlite:///{tmp_path}/deep/er/mirror.db")
        schema.upgrade(database)
        with database.read() as connection:
            connection.execute(select(tables.hosts)).all()
            modes = {
                found.name: stat.S_IMODE(found.stat().st_mode) for found in (tmp_path / "deep").rglob("*")
            }
    finally:
        os.umask(before)
    database.close()
    assert modes["mirror.db"] == 0o600
    assert modes["er"] == 0o700
    assert {mode for name, mode in modes.items() if name.startswith("mirror.db")} == {0o600}


def test_sqlite_path_is_fixed_when_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path, or one with ~, means the same file after the process changed its folder."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    databases = [Database("sqlite:///mirror.db"), Database("sqlite:///~/mirror.db")]
    monkeypatch.chdir("/")
    for database in databases:
        schema.upgrade(database)
        database.close()
    assert (tmp_path / "mirror.db").exists()
    assert (tmp_path / "home" / "mirror.db").exists()


def test_sqlite_settings(sqlite_url: str) -> None:
    """Every connection has WAL, foreign keys and a busy timeout."""
    database = Database(sqlite_url)
    with database.read() as one, database.read() as other:
        for connection in (one, other):
            asked = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
            }
            assert asked == {
                "journal_mode": "wal",
                "foreign_keys": 1,
                "busy_timeout": 10_000,
                "synchronous": 1,
            }
    database.close()


def test_postgres_compresses_documents_with_lz4(postgres_url: str) -> None:
    """Documents use lz4 wherever the server has it."""
    database = Database(postgres_url)
    with database.read() as connection:
        methods = connection.scalar(
            text(
                "SELECT array_to_string(enumvals, ',') FROM pg_settings "
                "WHERE name = 'default_toast_compression'"
            )
        )
        chosen = connection.scalar(
            text(
                "SELECT attcompression::text FROM pg_attribute "
                "WHERE attrelid = 'documents'::regclass AND attname = 'body'"
            )
        )
    database.close()
    assert chosen == ("l" if methods and "lz4" in methods.split(",") else "")


def test_postgres_settings(postgres_url: str) -> None:
    """Statements, locks and idle transactions end by themselves, and times are in UTC."""
    wanted = {
        "statement_timeout": "11s",
        "lock_timeout": "10s",
        "idle_in_transaction_session_timeout": "30s",
        "timezone": "UTC",
        "application_name": "sessiond",
    }
    database = Database(postgres_url)
    with database.read() as connection:
        asked = {name: connection.exec_driver_sql(f"SHOW {name}").scalar() for name in wanted}
    database.close()
    assert asked == wanted
    behind = Database(postgres_url, pgbouncer=True)
    with behind.read() as connection:
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "11s"
        connection.commit()
        connection.connection.driver_connection.autocommit = True
        assert connection.connection.driver_connection.execute("SHOW statement_timeout").fetchone() == ("0",)
        assert connection.connection.driver_connection.prepare_threshold is None
    behind.close()


CANARY = "c4n4ry"


@pytest.mark.parametrize(
    "url",
    [
        "",
        CANARY,
        "sqlite://",
        "sqlite:///:memory:",
        f"mysql://ann:{CANARY}@host/name",
        f"postgresql://ann:{CANARY}@host:port/name",
        f"postgresql://ann:x@{CANARY}@host/name",
        f"postgresql://ann:{CANARY}@[::1/name",
        f"sqlite{CANARY}:///x",
    ],
)
def test_urls_that_cannot_be_used(url: str) -> None:
    """A URL of another kind or form is a configuration error, with a hint and without its password."""
    with pytest.raises(ConfigError) as caught:
        Database(url)
    assert caught.value.key == "database.url"
    assert "sqlite:////absolute/path.db" in str(caught.value.hint)
    if "sqlite" not in url:
        assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ann:{CANARY}@host/name",
        f"postgres://ann:{CANARY}@host/name",
        f"postgresql+asyncpg://ann:{CANARY}@host/name",
        f"postgresql://ann@host/name?password={CANARY}",
    ],
)
def test_password_is_used_and_not_shown(url: str) -> None:
    """The name for messages has no password, wherever the URL carries it; psycopg is always used."""
    database = Database(url)
    assert database.is_postgres
    assert database.name == "postgresql+psycopg://ann:***@host/name"
    assert database.url.password == CANARY
    assert CANARY not in repr(database.engine)
    assert CANARY not in repr(database.url)
    database.close()
