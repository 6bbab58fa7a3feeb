"""Looks as they are stored: the further inputs' signatures in one text column."""

import orjson

from sessionlib.db.rows import FileRow
from sessionlib.state.files import Look, Signature
from sessionlib.sync.places import real_name, stored_name


def dump_extras(extras: tuple[tuple[str, Signature], ...]) -> str:
    """Return the further inputs' signatures as text; empty for none, the usual case."""
    if not extras:
        return ""
    return orjson.dumps([[stored_name(name), *signature] for name, signature in extras]).decode()


def load_extras(stored: str) -> tuple[tuple[str, Signature], ...]:
    """Return the further inputs' signatures from their text; none for a text that nobody here has written.

    With none the session looks as if it had changed, and is written again.
    """
    if not stored:
        return ()
    try:
        return tuple((real_name(row[0]), Signature(*row[1:])) for row in orjson.loads(stored))
    except (ValueError, TypeError, LookupError, AttributeError):
        return ()


def load_look(stored: FileRow) -> Look:
    """Return the look that a stored copy was written from."""
    state = Signature(stored.dev, stored.inode, stored.size, stored.mtime_ns, stored.ctime_ns)
    return Look(state, stored.folder_mtime_ns, load_extras(stored.extras))
