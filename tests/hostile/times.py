"""Times that are impossible, far away, ambiguous or not times at all."""

from tests import builders
from tests.hostile.entry import Entry, taken, with_field
from tests.hostile.sizes import full_document

_PLACES = (
    "created_at",
    "updated_at",
    "phase_history.spec_started_at",
    "commits.0.created_at",
    "key_decisions.0.date",
    "doc_updates.0.created_at",
    "conversations.0.linked_at",
)

WRONG = (
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "-2026-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2025-02-29",
    "2026-13-01T00:00:00Z",
    "2026-00-00",
    "2026-01-01T25:61:00Z",
    "2026-01-01T23:59:60Z",
    "2026-01-01T00:00:00+99:99",
    "2026-01-01T00:00:00 Europe/Berlin",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "yesterday",
    "now",
    "2026",
    "20260101",
    "2026-W01-1",
    "01/02/2026",
    "1767600000",
    "Mon, 05 Jan 2026 09:00:00 GMT",
    "2026-01-01T00:00:00Z; DROP TABLE sessions",
    "2026-01-05T09:00:00Z" * 1_000,
    "\u0662\u0660\u0662\u0666-01-05T09:00:00Z",
    "{{ISO_NOW}} or later",
    " ",
    "infinity",
    "-infinity",
    "epoch",
)
ODD = ("2026-01-01T00:00:00", "2026-01-01 00:00")
RIGHT = (
    "2026-01-05T09:00:00Z",
    "2026-01-05t09:00:00z",
    " 2026-01-05T09:00:00Z ",
    "2026-01-05T09:00:00.123456+00:00",
    "2026-01-05T09:00:00.123456789Z",
    "2026-01-05T09:00:00+14:00",
    "2026-01-05T09:00:00-00:00",
    "2026-01-05T09:00:00+00:00:30",
    "2026-01-05",
    "0001-01-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "9999-12-31T23:59:59.999999Z",
    "2024-02-29T12:00:00Z",
    "",
)
NUMBERS = (0, -1, 1767600000, 1767600000000, 1767600000000000, -62135596800, 2**63, 1.5e308, 253402300800)


def entries() -> list[Entry]:
    """Return the entries: each time in every place for one."""
    written = [
        *((f"time {text[:40]!r}", text, ("updated_at", "created_at")) for text in (*WRONG, *ODD)),
        *((f"time {text[:40]!r} is right", text, ()) for text in RIGHT),
        *((f"time {number!r}", number, ("updated_at", "created_at")) for number in NUMBERS),
    ]
    found = []
    for name, value, warned in written:
        document = full_document()
        for place in _PLACES:
            document = with_field(document, place, value)
        found.append(taken(name.replace("/", "|"), document, *warned))
    run = builders.v2_building(updated_at="9999-01-01T00:00:00Z", created_at=builders.at(400))
    return [*found, taken("ends before it begins", run)]
