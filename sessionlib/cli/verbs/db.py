"""`sessionctl db`: upgrade the schema, or say how it stands."""

import argparse
from typing import TYPE_CHECKING, Any

from sessionlib.cli.answer import Answer, Column, Facts, Freshness, Lines, Table
from sessionlib.cli.context import Context, has_file
from sessionlib.errors import SchemaMismatchError, SchemaMissingError

if TYPE_CHECKING:
    from sessionlib.db.engine import Database

_COUNTS = (
    Column("table", lambda row: row[0]),
    Column("rows", lambda row: row[1], right=True),
)
_FOREIGN = "foreign"
_EXIT_CODES = {"current": 0, "missing": 1, "older": 1, "newer": 78, _FOREIGN: 78}
_ADVICE = {
    "missing": "run `sessionctl db upgrade` to make the schema",
    "older": "run `sessionctl db upgrade` to bring it up to date",
    "newer": "upgrade sessiond on this machine; nothing was changed",
    _FOREIGN: "the tables in it are another program's; name an empty database with database.url",
}


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = commands.add_parser("db", parents=[common], help="upgrade or check the database")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    actions.add_parser(
        "upgrade",
        parents=[common],
        help="make the schema, or bring it up to date",
        description="Make the schema, or bring it up to date. Safe to repeat, and beside other programs.",
    ).set_defaults(run=upgrade)
    actions.add_parser(
        "check",
        parents=[common],
        help="say how the schema stands, and how many rows there are",
        description="Say how it stands. Exit codes: 0 current, 1 missing or older, 78 newer or not ours.",
    ).set_defaults(run=check)


def upgrade(context: Context) -> Answer:
    """Bring the schema up to date."""
    from sessionlib.db import schema

    with context.open_database(existing=False) as database:
        before = schema.upgrade(database)
        name = database.name
    changed = before is not schema.SchemaState.CURRENT
    row = {"database": name, "before": before.value, "revision": schema.HEAD, "changed": changed}
    said = (
        f"upgraded {name} to {schema.HEAD}; the schema was {before.value}"
        if changed
        else f"{name} is current ({schema.HEAD})"
    )
    return Answer(rows=[row], blocks=[Lines([said])])


def check(context: Context) -> Answer:
    """Say how the schema stands, without making or changing anything."""
    from sessionlib.db import inventory, schema

    counts: dict[str, int] = {}
    revision: str | None = None
    state = schema.SchemaState.MISSING.value
    freshness: Freshness | None = None
    with context.open_database(existing=False) as database:
        if has_file(database):
            state = _state(database)
            with database.read() as connection:
                revision = schema.current_revision(connection)
                if state == schema.SchemaState.CURRENT:
                    counts = inventory.row_counts(connection)
                    freshness = context.freshness(connection)
        row = {
            "database": database.name,
            "dialect": "postgresql" if database.is_postgres else "sqlite",
            "revision": revision,
            "head": schema.HEAD,
            "state": state,
            "tables": counts,
        }
    facts = Facts([(name, row[name]) for name in ("database", "dialect", "revision", "head", "state")])
    return Answer(
        rows=[row],
        blocks=[facts, Table(_COUNTS, list(counts.items()))],
        freshness=freshness,
        notes=[_ADVICE[state]] if state in _ADVICE else [],
        exit_code=_EXIT_CODES[state],
    )


def _state(database: "Database") -> str:
    """Return how the schema stands; tables of our names without our revision are another program's."""
    from sessionlib.db import schema

    state = schema.state(database)
    if state is schema.SchemaState.MISSING:
        try:
            schema.require_current(database)
        except SchemaMismatchError:
            return _FOREIGN
        except SchemaMissingError:
            pass
    return state.value
