"""The indexes of the lists: an older database gets them, and nothing a file may say is too long for them."""

from sqlalchemy import inspect, select

from sessionlib.db import schema, tables
from sessionlib.db.engine import Database
from sessionlib.db.schema import SchemaState
from sessionlib.sync import mapping
from tests import older, worlds

CLEF = "\N{MUSICAL SYMBOL G CLEF}"
"""Four bytes of UTF-8."""

NEW = {"ix_sessions_recent", "ix_sessions_project_recent", "ix_sessions_mismatched"}


def names(database: Database) -> set[str]:
    """Return the names of the sessions' indexes."""
    with database.read() as connection:
        return {str(index["name"]) for index in inspect(connection).get_indexes("sessions")}


def test_an_older_database_gets_the_indexes(empty: Database) -> None:
    """What was written under longer bounds is cut to the new ones, all else stays as it was."""
    schema.upgrade(empty, target="0002")
    assert schema.state(empty) is SchemaState.OLDER
    assert not names(empty) & NEW
    with empty.write() as connection:
        place = worlds.add_place(connection)
        long = {"current_phase": "p" * 500, "status": CLEF * 151, "effective_status": CLEF * 150}
        rows = [
            worlds.session(place, "long", declared_id=CLEF * 501, **long),
            worlds.session(place, "usual", declared_id="another"),
        ]
        for row in rows:
            older.write(connection, tables.documents, [worlds.document(row.project_id, row.content_hash)])
        older.write(connection, tables.sessions, rows)
    assert schema.upgrade(empty) is SchemaState.OLDER
    assert names(empty) >= NEW
    kept = ("current_phase", "status", "effective_status", "declared_id")
    with empty.read() as connection:
        columns = [tables.sessions.c[name] for name in kept]
        found = connection.execute(select(*columns).order_by(tables.sessions.c.slug)).all()
    assert found == [
        ("p" * 149 + "…", CLEF * 149 + "…", CLEF * 150, CLEF * 499 + "…"),
        ("build", "active", "active", "another"),
    ]


def test_the_longest_words_fit(database: Database) -> None:
    """Words at their bounds, beside the longest name a folder can have, in letters that do not compress."""
    letters = "".join(chr(0x20000 + number * 7919 % 40000) for number in range(500))
    with database.write() as connection:
        row = worlds.session(
            worlds.add_place(connection),
            letters[:63] + "abc",
            current_phase=letters[100:][: mapping.MOST_WORD],
            effective_status=letters[300:][: mapping.MOST_WORD],
            declared_id=letters,
        )
        worlds.write_sessions(connection, [row])
