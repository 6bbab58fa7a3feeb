"""Times as people write them."""

from datetime import UTC, datetime, timedelta

import pytest

from sessionlib.moments import day, moment

NOW = datetime(2026, 2, 16, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-02-16", datetime(2026, 2, 16, tzinfo=UTC)),
        ("2026-02-16T09:05", datetime(2026, 2, 16, 9, 5, tzinfo=UTC)),
        ("2026-02-16 09:05:07.5+02:00", datetime(2026, 2, 16, 7, 5, 7, 500_000, tzinfo=UTC)),
        ("2026-02-16T09:05:07Z", datetime(2026, 2, 16, 9, 5, 7, tzinfo=UTC)),
        ("30m", NOW - timedelta(minutes=30)),
        ("12h", NOW - timedelta(hours=12)),
        ("7d", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(weeks=2)),
        ("0d", NOW),
    ],
)
def test_what_is_taken(text: str, expected: datetime) -> None:
    """A day, a moment in any zone, and how long ago; always in UTC."""
    found = moment(text, NOW)
    assert found == expected
    assert found.tzinfo is UTC
    assert day(text, NOW) == expected.date().isoformat()


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "yesterday",
            "7",
            "d",
            "-7d",
            "7 d",
            "2026-02-30",
            "2026-2-16",
            "20260216",
            "2026-02-16T",
            "24:00",
        ),
        *("999999w", "0001-01-01T00:00+01:00", "9999-12-31T23:59-01:00", "\u0667d", "2026-02-16T09:05+25:00"),
    ],
)
def test_what_is_refused(text: str) -> None:
    """Everything else, in words that say what would do."""
    with pytest.raises(ValueError, match="a day like 2026-02-16"):
        moment(text, NOW)
