"""A session's document from bytes to meaning: the one door to `decode`, `interpret` and their values."""

from sessionlib.state.content import (
    Checkpoint,
    Commit,
    Decision,
    DocUpdate,
    Link,
    ResearchRun,
    SessionContent,
)
from sessionlib.state.decoding import MAX_DEPTH, decode, sanitized
from sessionlib.state.interpret import interpret

__all__ = [
    "MAX_DEPTH",
    "Checkpoint",
    "Commit",
    "Decision",
    "DocUpdate",
    "Link",
    "ResearchRun",
    "SessionContent",
    "decode",
    "interpret",
    "sanitized",
]
