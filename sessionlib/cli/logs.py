"""The library's log on standard error, for ``-v``; without it verbs say themselves what went wrong."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sessionlib.cli.text import visible


class _Line(logging.Formatter):
    """One line a record: the words, then the fields of the event."""

    # The decorator `override` would cost an import that takes longer than many an answer.
    def format(self, record: logging.LogRecord) -> str:  # type: ignore[explicit-override]
        fields = getattr(record, "fields", {})
        told = " ".join(f"{name}={value}" for name, value in fields.items())
        return visible(f"{record.levelname.lower()}: {record.getMessage()} {told}".rstrip())


@contextmanager
def shown(verbosity: int) -> Iterator[None]:
    """Show the log while the block runs: nothing at 0, what happens at 1, everything from 2 on."""
    logger = logging.getLogger("sessionlib")
    handler: logging.Handler = logging.NullHandler()
    if verbosity:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Line())
    before = logger.level
    logger.addHandler(handler)
    if verbosity:
        logger.setLevel(logging.INFO if verbosity == 1 else logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
