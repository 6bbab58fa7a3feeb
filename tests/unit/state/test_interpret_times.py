"""Times as people and agents write them become moments in UTC, or a note."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sessionlib.state.coerce import Notes, moment
from sessionlib.state.interpret import interpret
from tests import builders
from tests.builders import at, time_of


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-02-21T17:30:28Z", datetime(2026, 2, 21, 17, 30, 28, tzinfo=UTC)),
        (" 2026-02-21t17:30:28z ", datetime(2026, 2, 21, 17, 30, 28, tzinfo=UTC)),
        ("2026-02-21T17:30:28.566903+00:00", datetime(2026, 2, 21, 17, 30, 28, 566903, tzinfo=UTC)),
        ("2026-02-21T17:30:28.5669031234+05:30", datetime(2026, 2, 21, 12, 0, 28, 566903, tzinfo=UTC)),
        ("2026-02-21T17:30:28-16:00", datetime(2026, 2, 22, 9, 30, 28, tzinfo=UTC)),
        ("2026-02-16", datetime(2026, 2, 16, tzinfo=UTC)),
        ("0001-01-01", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_become_utc(written: str, expected: datetime) -> None:
    """Every spelling of a time that leaves no doubt is taken."""
    notes = Notes()
    found = moment(written, notes, "t")
    assert found == expected
    assert found.tzinfo is UTC
    assert notes.all() == ()


def test_naive_time_is_utc_with_a_note() -> None:
    """A time without a zone is taken as UTC, and said."""
    notes = Notes()
    assert moment("2026-02-16 10:00", notes, "t") == datetime(2026, 2, 16, 10, tzinfo=UTC)
    assert notes.all() == (("t", "has no time zone; taken as UTC"),)


@pytest.mark.parametrize(
    "written",
    [
        "yesterday",
        "2026-13-01T00:00:00Z",
        "2026-02-30",
        "10000-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+02:00",
        "9999-12-31T23:59:59-01:00",
        "2026-02-16T10:00:61Z",
        "2026-02-16T10:00:00+25:00",
        "20260216",
        "2026-W07-1",
        "   ",
        1_770_000_000,
        True,
        [],
    ],
)
def test_impossible_times_are_none_with_a_note(written: Any) -> None:
    """A time that cannot be, or cannot be UTC within the years 1 to 9999, is left out."""
    notes = Notes()
    assert moment(written, notes, "t") is None
    assert len(notes.all()) == 1


def test_absent_times_are_silent() -> None:
    """Null and the empty text are no time, and nothing to warn of."""
    notes = Notes()
    assert moment(None, notes, "t") is None
    assert moment("", notes, "t") is None
    assert notes.all() == ()


def test_stamps_are_sorted_and_leave_creation_out() -> None:
    """The document's age is told by updates, phases and commits, each moment once."""
    state = builders.v2_building(2, [1], created_at=at(0), updated_at=at(4))
    content = interpret(state)
    assert content.stamps == tuple(time_of(at(hours)) for hours in (0, 2, 4, 11))[0:]
    assert content.created_at == time_of(at(0))
