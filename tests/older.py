"""Rows of today's shape, written into an older schema: columns that it has not got are left out."""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import JSON, Connection, Table, insert, inspect


def write(connection: Connection, table: Table, rows: Sequence[Any]) -> None:
    """Insert named rows of a table."""
    there = {column["name"] for column in inspect(connection).get_columns(table.name)}
    chosen = [column for column in table.columns if column.name in there]
    for row in rows:
        values = {column.name: getattr(row, column.name) for column in chosen}
        for column in chosen:
            if isinstance(column.type, JSON):
                values[column.name] = orjson.loads(values[column.name])
        connection.execute(insert(table).values(values))
