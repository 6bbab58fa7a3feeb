"""An answer as text: one JSON object for programs, aligned lines for a pipe."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from sessionlib.cli.answer import Answer, Block, Column, Document, Facts, Freshness, Lines, Table
from sessionlib.cli.text import cell, duration, is_unicode, iso, json_text, local, visible, width

_GAP = "  "


def json_object(answer: Answer) -> dict[str, Any]:
    """Return the one object that ``--json`` promises."""
    fresh = answer.freshness
    return {
        "as_of": iso(fresh.as_of) if fresh and fresh.as_of else None,
        "stale": fresh.stale if fresh else False,
        "rows": [_json_row(row) for row in answer.rows],
        **({} if answer.summary is None else {"summary": dict(answer.summary)}),
    }


def _json_row(row: Any) -> Any:
    if hasattr(row, "model_dump"):
        return row.model_dump(mode="json")
    if hasattr(row, "_asdict"):
        return row._asdict()
    return row


def freshness_line(fresh: Freshness | None) -> list[str]:
    """Return the line that tells people how fresh an answer is; none where it comes from the files."""
    if fresh is None or fresh.age == 0.0:
        return []
    if fresh.stale and fresh.reasons:
        since = "" if fresh.age is None else f" (as of {duration(fresh.age)} ago)"
        return [visible(f"stale: {'; '.join(fresh.reasons)}{since}")]
    if fresh.age is None or fresh.as_of is None:
        return ["stale: nothing has vouched for this mirror yet; is sessiond running?"]
    if fresh.stale:
        since = f"{local(fresh.as_of)} ({duration(fresh.age)} ago)"
        return [f"stale: nothing has vouched for this mirror since {since}; is sessiond running?"]
    return [f"as of {duration(fresh.age)} ago"]


def plain_lines(blocks: Sequence[Block]) -> Iterable[str]:
    """Return the blocks as aligned text without colours, a blank line between two."""
    first = True
    for block in blocks:
        lines = _plain(block)
        if lines and not first:
            yield ""
        yield from lines
        first = first and not lines


def _plain(block: Block) -> list[str]:
    if isinstance(block, Lines):
        return [visible(line) for line in block.lines]
    if isinstance(block, Document):
        return json_text(block.tree, indent=2, ascii_only=not is_unicode(sys.stdout)).splitlines()
    title = [visible(block.title)] if block.title else []
    if isinstance(block, Facts):
        if not block.pairs:
            return []
        return title + _aligned([[f"{name}:", cell(value)] for name, value in block.pairs], [False, False])
    if not block.rows:
        return [block.empty] if block.empty else []
    return title + _plain_table(block)


def _plain_table(table: Table) -> list[str]:
    heads = [column.title.upper() for column in table.columns]
    return _aligned([heads, *cells_of(table.columns, table.rows)], [column.right for column in table.columns])


def cells_of(columns: Sequence[Column], rows: Iterable[Any]) -> list[list[str]]:
    """Return the shown text of every cell."""
    return [[cell(column.value(row)) for column in columns] for row in rows]


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return [
        _GAP.join(_padded(*part) for part in zip(row, widths, right, strict=True)).rstrip() for row in rows
    ]


def _padded(text: str, wanted: int, right: bool) -> str:  # noqa: FBT001 - called by position, with zip
    space = " " * (wanted - width(text))
    return space + text if right else text + space
