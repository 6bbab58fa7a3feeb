"""Server-sent events, taken apart."""

import pytest

from sessionlib.control.events import Event, EventParser
from sessionlib.errors import ControlError

STREAM = (
    b": hello\nretry: 100\nid: a-0\n\n"
    b'id: a-1\nevent: created\ndata: {"slug": "x"}\n\n'
    b'event: changed\r\ndata: {"slug":\r\ndata: "y"}\r\nid: a-2\r\n\r\n'
    b": ping\n\n"
    b"id: b-7\nevent: resync\n\n"
    b'event: changed\ndata: {"cut": "off"}\n'
)
EVENTS = [
    Event("created", {"slug": "x"}, "a-1"),
    Event("changed", {"slug": "y"}, "a-2"),
    Event("resync", {}, "b-7"),
]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_events_come_out_whole(size: int) -> None:
    """Comments, both line ends, data on several lines, ids without an event; half an event is none."""
    parser = EventParser()
    parts = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    assert list(parser.events(parts)) == EVENTS
    assert (parser.last_id, parser.retry) == ("b-7", 0.1)


def test_an_id_alone_is_where_to_resume() -> None:
    """The stream's first words name a point before any event."""
    parser = EventParser("old")
    assert list(parser.events([b"id: a-5\n\n"])) == []
    assert parser.last_id == "a-5"


@pytest.mark.parametrize(
    ("told", "retry"), [(b"0", 0.05), (b"9999999999999", 30.0), (b"soon", 2.0), (b"-1", 2.0)]
)
def test_the_wished_pause_is_kept_within_reason(told: bytes, retry: float) -> None:
    """Neither a storm of connections nor a wait for ever."""
    parser = EventParser()
    assert list(parser.events([b"retry: " + told + b"\n\n"])) == []
    assert parser.retry == retry


def test_data_that_is_no_json_is_an_error() -> None:
    """Another program's stream is not passed on as changes."""
    with pytest.raises(ControlError, match="no JSON"):
        list(EventParser().events([b"data: hello\n\n"]))


def test_a_line_without_end_is_an_error() -> None:
    """Memory stays bounded."""
    with pytest.raises(ControlError, match="too long"):
        list(EventParser().events(b"data: " + b"x" * 100_000 for _ in range(20)))
