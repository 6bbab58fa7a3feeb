"""What a drift is explained by: which columns differ tells who has most likely made it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from sessionlib.db.comparing import Difference
from sessionlib.sync import causes

NOW = datetime(2026, 6, 1, tzinfo=UTC)
EDITED = "the row was edited behind the mirror"
MAPPED = "the row was written by another version of the mapping"
UNSEEN = "the file changed without a change of its size and times (a restored backup, or twice at once)"
LATE = "not mirrored yet: its file cannot be seen any more"


NUMBERS = {"size", "mtime_ns", "ctime_ns", "inode", "mapping_version"}


def difference(table: str, column: str | None, stored: Any = "a", expected: Any = "b") -> Difference:
    if column in NUMBERS:
        stored, expected = 1, 2
    return Difference(UUID(int=1), table, (("slug", "one"),), column, stored, expected)


@pytest.mark.parametrize(
    ("columns", "cause", "verb"),
    [
        (["size"], EDITED, "rebuild"),
        (["mtime_ns"], EDITED, "rebuild"),
        (["inode", "size"], LATE, "rescan"),
        (["ctime_ns"], LATE, "rescan"),
        (["mtime_ns", "ctime_ns", "content_hash", "inputs_hash"], LATE, "rescan"),
        ([None], LATE, "rescan"),
        (["mapping_version"], MAPPED, "rescan"),
        (["mapping_version", "ctime_ns"], LATE, "rescan"),
        (["content_hash"], EDITED, "rebuild"),
        (["content_hash", "inputs_hash"], UNSEEN, "rebuild"),
    ],
)
def test_the_copy_s_row_tells(tmp_path: Path, columns: list[str | None], cause: str, verb: str) -> None:
    """All that differs in a session is explained by what differs in the row of its copy."""
    found = [difference("session_files", column, None if column is None else "a") for column in columns]
    drifts = causes.explained(tmp_path, found, NOW)
    assert {(drift.cause, drift.advice) for drift in drifts} == {(cause, f"sessionctl {verb} {tmp_path}")}
    if cause in {LATE, UNSEEN}:
        carried = difference("sessions", "inputs_hash")
        (*_, last) = causes.explained(tmp_path, [*found, carried, difference("sessions", "topic")], NOW)
        assert last.cause == cause


@pytest.mark.parametrize(
    ("one", "cause", "verb"),
    [
        (difference("sessions", "topic"), EDITED, "rebuild"),
        (difference("sessions", "mapping_version"), MAPPED, "rebuild"),
        (difference("commits", None, None, ("b",)), "the row was deleted behind the mirror", "rebuild"),
        (difference("commits", None, ("a",), None), "the row was added behind the mirror", "rebuild"),
        (
            difference("session_files", None, ("a",), None),
            "the folder is gone, and not marked as gone",
            "rescan",
        ),
        (difference("sessions", "missing_since", NOW, None), "marked as gone, and there again", "rebuild"),
        (
            difference("sessions", "missing_since", None, NOW),
            "all its folders are gone, and it is not marked as gone",
            "rebuild",
        ),
    ],
)
def test_one_difference_tells(tmp_path: Path, one: Difference, cause: str, verb: str) -> None:
    """Where the copy's row is right, the difference itself tells."""
    (drift,) = causes.explained(tmp_path, [one], NOW)
    assert (drift.cause, drift.advice) == (cause, f"sessionctl {verb} {tmp_path}")
    assert (drift.path, drift.key, drift.column) == (str(tmp_path), {"slug": "one"}, one.column)


def test_a_rescan_is_advised_where_it_writes(tmp_path: Path) -> None:
    """Of a session that is marked as gone with its copies; and a row that no copy carries is rebuilt."""
    marks = [difference(table, "missing_since", NOW, None) for table in ("session_files", "sessions")]
    assert {one.advice for one in causes.explained(tmp_path, marks, NOW)} == {f"sessionctl rescan {tmp_path}"}
    (_, row) = causes.explained(
        tmp_path, [difference("session_files", "ctime_ns"), difference("sessions", "topic")], NOW
    )
    assert (row.cause, row.advice) == (EDITED, f"sessionctl rebuild {tmp_path}")


def test_an_advice_can_be_pasted(tmp_path: Path) -> None:
    """A path that a shell would take apart is quoted."""
    (drift,) = causes.explained(tmp_path / "a b;c", [difference("sessions", "topic")], NOW)
    assert drift.advice == f"sessionctl rebuild '{tmp_path}/a b;c'"
