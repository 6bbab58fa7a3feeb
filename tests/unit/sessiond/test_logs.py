"""Log lines: one a record, whatever is in it."""

import io
import logging

from sessiond.logs import LogfmtFormatter, event


def logger_to(stream: io.StringIO) -> logging.Logger:
    """Return a logger that writes formatted lines to a stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LogfmtFormatter())
    logger = logging.getLogger("test.logs")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    return logger


def lines_of(*records: tuple[int, str, str, dict[str, object]]) -> list[str]:
    """Format records and return the lines."""
    stream = io.StringIO()
    logger = logger_to(stream)
    for level, name, message, fields in records:
        event(logger, level, name, message, **fields)
    return stream.getvalue().splitlines()


def test_a_record_is_one_line_of_fields() -> None:
    """Level, event, message and fields stand in order; plain values are not quoted."""
    (line,) = lines_of((logging.INFO, "session.synced", "mirrored", {"path": "/a/b", "n": 3, "none": None}))
    assert line.split(" ", 1)[1] == "level=info event=session.synced msg=mirrored path=/a/b n=3"
    assert line.startswith("ts=20")


def test_hostile_text_cannot_forge_a_line() -> None:
    """Line breaks, quotes and escape sequences are escaped."""
    (line,) = lines_of(
        (logging.INFO, "e", "x\\nlevel=error", {"path": 'a"b\x1b[31m\nlevel=error event=fake'})
    )
    assert "\x1b" not in line
    assert " event=fake" not in line.split('path="')[0]


def test_a_traceback_is_one_field() -> None:
    """An exception does not spill over several lines."""
    stream = io.StringIO()
    logger = logger_to(stream)
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        logger.exception("failed", extra={"event": "sync.crashed"})
    (line,) = stream.getvalue().splitlines()
    assert "event=sync.crashed" in line
    assert "ZeroDivisionError" in line


def test_long_values_are_capped() -> None:
    """A field of megabytes does not make a line of megabytes."""
    (line,) = lines_of((logging.INFO, "e", "m", {"value": "x" * 1_000_000}))
    assert len(line) < 5000
