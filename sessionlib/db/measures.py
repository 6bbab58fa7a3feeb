"""What a database says of itself: its size and its clock."""

from datetime import datetime

from sqlalchemy import Connection, text

_SIZES = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "postgresql": "SELECT pg_database_size(current_database())",
}


def size_of(connection: Connection) -> int:
    """Return the bytes of the whole database; of SQLite without what waits in its write-ahead log.

    Raises:
        DatabaseError: The database does not answer.
    """
    return int(connection.execute(text(_SIZES[connection.dialect.name])).scalar_one())


def now_of(connection: Connection) -> datetime | None:
    """Return what the server's clock says, with its zone; None for SQLite, which has ours.

    Raises:
        DatabaseError: The database does not answer.
    """
    if connection.dialect.name != "postgresql":
        return None
    now: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return now
