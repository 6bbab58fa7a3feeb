"""What a verb answers: rows for programs, blocks for people, how fresh it is, and the exit code."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple


class Column(NamedTuple):
    """One column of a table: its heading, how a row's value is found, and how it is shown.

    `right` aligns numbers; `style` is a style of rich, or a function from the shown text to one.
    """

    title: str
    value: Callable[[Any], object]
    right: bool = False
    style: str | Callable[[str], str] = ""


class Table(NamedTuple):
    """Rows under headings; without rows, `empty` is printed instead (nothing, when that is empty)."""

    columns: Sequence[Column]
    rows: Sequence[Any]
    title: str = ""
    empty: str = ""


class Facts(NamedTuple):
    """Names and values of one thing, one a line; nothing is printed for none."""

    pairs: Sequence[tuple[str, object]]
    title: str = ""


class Lines(NamedTuple):
    """Sentences, one a line."""

    lines: Sequence[str]


class Document(NamedTuple):
    """A JSON document, printed indented."""

    tree: Any


Block = Table | Facts | Lines | Document


class Freshness(NamedTuple):
    """When the mirror was last vouched for, in seconds too, and whether that is too long ago.

    `reasons` say why it is stale, where a running daemon knows them.
    """

    as_of: datetime | None
    age: float | None
    stale: bool
    reasons: tuple[str, ...] = ()

    @classmethod
    def judge(cls, as_of: datetime | None, now: datetime, limit: float) -> "Freshness":
        """Return the freshness at `now`; older than `limit` seconds, or never, is stale."""
        if as_of is None:
            return cls(None, None, stale=True)
        age = (now - as_of).total_seconds()
        return cls(as_of, age, stale=age > limit)

    @classmethod
    def told(cls, answer: Mapping[str, Any], now: datetime) -> "Freshness":
        """Return the freshness as a daemon has told it: JSON with as_of and stale, and perhaps reasons."""
        said = answer.get("reasons")
        reasons = tuple(map(str, said)) if isinstance(said, list) else ()
        try:
            as_of = datetime.fromisoformat(str(answer.get("as_of")))
            age = max((now - as_of).total_seconds(), 0.0)
        except (ValueError, TypeError):
            return cls(None, None, stale=True, reasons=reasons)
        return cls(as_of, age, stale=answer.get("stale") is not False, reasons=reasons)

    @classmethod
    def of_files(cls, now: datetime) -> "Freshness":
        """Return the freshness of what was read from the files themselves: it is the truth."""
        return cls(now, 0.0, stale=False)


class Answer(NamedTuple):
    """All that a verb has to say.

    Attributes:
        rows: What ``--json`` prints: models, named tuples or plain values.
        blocks: What people see.
        freshness: Of the mirror, where the answer comes from it.
        notes: Sentences that people and scripts should see beside the data (standard error in a pipe).
        exit_code: What the command ends with.
        summary: What ``--json`` says beside the rows, where these are not all of the answer.
        stream: Printed one by one as they come, instead of all else; (row, line) for programs and people.
    """

    rows: Sequence[Any] = ()
    blocks: Sequence[Block] = ()
    freshness: Freshness | None = None
    notes: Sequence[str] = ()
    exit_code: int = 0
    summary: Mapping[str, Any] | None = None
    stream: Iterable[tuple[Any, str]] | None = None
