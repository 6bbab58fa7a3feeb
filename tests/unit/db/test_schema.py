"""The schema: one definition, the same on both databases."""

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from sessionlib.db import rows, schema, tables
from sessionlib.db.engine import Database


def test_migrations_build_exactly_the_tables(database: Database) -> None:
    """After an upgrade Alembic finds no difference to the table definitions."""
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []


def test_head_is_the_newest_revision() -> None:
    """The constant that spares importing Alembic names the newest script."""
    config = Config()
    config.set_main_option("script_location", "sessionlib:db/migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == schema.HEAD


def test_rows_have_the_columns_of_their_tables_in_order() -> None:
    """Each row type lists its table's columns, in order."""
    pairs = {
        tables.documents: rows.DocumentRow,
        tables.session_files: rows.FileRow,
        tables.session_inputs: rows.InputRow,
        tables.sessions: rows.SessionRow,
        tables.checkpoints: rows.CheckpointRow,
        tables.commits: rows.CommitRow,
        tables.decisions: rows.DecisionRow,
        tables.doc_updates: rows.DocUpdateRow,
        tables.research_runs: rows.ResearchRunRow,
        tables.session_links: rows.LinkRow,
        tables.session_phases: rows.PhaseRow,
        tables.session_versions: rows.VersionRow,
    }
    for table, row in pairs.items():
        assert row._fields == tuple(column.name for column in table.columns), table.name
