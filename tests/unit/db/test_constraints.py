"""Links and checks are the database's own, on both; and every table keeps the rules of the design."""
# ruff: noqa: PT012 - what is refused may be refused at the commit, so the transaction stands in the block

from typing import Any

import pytest
from sqlalchemy import ForeignKeyConstraint, UniqueConstraint, delete, func, insert, select, update

from sessionlib.db import tables
from sessionlib.db.engine import Database
from sessionlib.db.types import Guid
from sessionlib.errors import RowRejectedError
from sessionlib.models import derived_id
from tests import worlds

# How far journals were read belongs to a host, as they do.
REGISTRY = {"hosts", "identities", "projects", "project_aliases", "journal_cursors"}
ALL = tables.metadata.sorted_tables


def test_every_link_is_enforced(database: Database) -> None:
    """A row that names a parent that does not exist is refused, link by link."""
    with database.write() as connection:
        worlds.write_one_of_everything(connection, worlds.add_place(connection))
    for table in ALL:
        for link in table.foreign_key_constraints:
            column = list(link.columns)[-1]
            value = derived_id("nobody") if isinstance(column.type, Guid) else "nobody"
            with pytest.raises(RowRejectedError), database.write() as connection:
                changed = connection.execute(update(table).values({column.name: value}))
                assert changed.rowcount > 0


def test_checks_are_enforced(database: Database) -> None:
    """Values outside the domain are refused."""
    with database.write() as connection:
        worlds.write_one_of_everything(connection, worlds.add_place(connection))
    for table, column, value in (
        (tables.identities, "status", "gone"),
        (tables.projects, "status", "complete"),
        (tables.sessions, "checkpoints_completed", -1),
        (tables.sessions, "checkpoints_total_source", "guess"),
        (tables.session_files, "absent_looks", -1),
        (tables.conversations, "status", "gone"),
        (tables.conversations, "ended_at", worlds.T0),
        (tables.conversations, "last_activity_at", worlds.hours(-1)),
        (tables.conversation_links, "source", "guess"),
        (tables.agents, "kind", "spawned"),
        (tables.agents, "parent_source", "guess"),
        (tables.agents, "status", "gone"),
        (tables.agent_logs, "category", "gone"),
        (tables.tool_calls, "outcome", "gone"),
        (tables.usage_totals, "source", "gone"),
    ):
        with pytest.raises(RowRejectedError), database.write() as connection:
            connection.execute(update(table).values({column: value}))


def test_every_required_column_is_required(database: Database) -> None:
    """NOT NULL holds wherever the table says so."""
    with database.write() as connection:
        worlds.write_one_of_everything(connection, worlds.add_place(connection))
    for table in ALL:
        for column in table.columns:
            if not column.nullable:
                with pytest.raises(RowRejectedError), database.write() as connection:
                    connection.execute(update(table).values({column.name: None}))


def test_unique_keys_are_enforced(database: Database) -> None:
    """A second row with the same name under another id is refused."""
    with database.write() as connection:
        worlds.write_one_of_everything(connection, worlds.add_place(connection))
    for table, own in (
        (tables.projects, "project_id"),
        (tables.workspaces, "workspace_id"),
        (tables.sessions, "session_id"),
        (tables.identities, "identity_id"),
    ):
        with pytest.raises(RowRejectedError), database.write() as connection:
            row = dict(connection.execute(select(table)).mappings().one())
            connection.execute(insert(table).values(row | {own: derived_id("another")}))


def test_parts_go_with_their_session(database: Database) -> None:
    """Deleting a session deletes its parts and history, and nothing of its copies or documents."""
    with database.write() as connection:
        worlds.write_one_of_everything(connection, worlds.add_place(connection))
        connection.execute(delete(tables.sessions))
        counts = {
            table.name: connection.scalar(select(func.count()).select_from(table))
            for table in ALL
            if "project_id" in table.columns
        }
    assert {name for name, count in counts.items() if count} == {
        "agent_logs",
        "agents",
        "client_costs",
        "conversations",
        "documents",
        "findings",
        "project_aliases",
        "projects",
        "session_files",
        "session_inputs",
        "todos",
        "tool_calls",
        "usage_records",
        "usage_totals",
        "workspace_roots",
        "workspaces",
    }


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_every_column_says_whose_it_is(table: Any) -> None:
    """Each column is part of the key, derived from the files, or observed."""
    kinds = {column.name: column.info.get("kind") for column in table.columns}
    assert set(kinds.values()) <= {"key", "derived", "observed"}, kinds
    assert {name for name, kind in kinds.items() if kind == "key"} == {c.name for c in table.primary_key}


@pytest.mark.parametrize(
    "table", [table for table in ALL if table.name not in REGISTRY], ids=lambda table: table.name
)
def test_every_key_carries_the_project(table: Any) -> None:
    """Outside the registry project_id is in every primary key, unique constraint and foreign key."""
    keys = [
        constraint
        for constraint in table.constraints
        if constraint is table.primary_key or isinstance(constraint, ForeignKeyConstraint | UniqueConstraint)
    ]
    for constraint in keys:
        if isinstance(constraint, ForeignKeyConstraint) and constraint.referred_table.name in REGISTRY:
            continue
        assert "project_id" in constraint.columns, constraint.name
        if isinstance(constraint, ForeignKeyConstraint):
            assert "project_id" in {element.column.name for element in constraint.elements}
    assert all(index.columns.keys()[0] == "project_id" for index in table.indexes if index.unique)
    assert next(iter(table.primary_key)).name == "project_id"
