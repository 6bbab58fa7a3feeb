"""Repeated faults in the log: the first few are shown, the others counted, and nothing grows without end."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessiond.logs import LogOptions, Logs, event, set_up
from sessiond.logs.limit import Limit
from sessionlib.redaction import Redactor

LOG = logging.getLogger("sessiond.test")


class Clock:
    """A clock that stands until it is told to go on."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock of the test's own."""
    return Clock()


@pytest.fixture
def logs(tmp_path: Path, clock: Clock) -> Iterator[Logs]:
    """The log, as JSON in the file `log`."""
    made = set_up(LogOptions("debug", "json", tmp_path / "log"), secrets=("hunter2!",), clock=clock)
    yield made
    made.close()


def fault(path: str, level: int = logging.WARNING, name: str = "session.unreadable", **fields: Any) -> None:
    """Log one fault."""
    event(LOG, level, name, "cannot be read", path=path, **fields)


def told(tmp_path: Path) -> list[dict[str, Any]]:
    """Return what the file says."""
    return [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]


@pytest.mark.usefixtures("logs")
def test_the_first_few_of_a_fault_are_shown(tmp_path: Path, clock: Clock) -> None:
    """Five in thirty seconds; the next one after that says how many were left out."""
    for number in range(22):
        fault("/a", attempt=number)
    assert [line["attempt"] for line in told(tmp_path)] == [0, 1, 2, 3, 4]
    clock.now += 29.9
    fault("/a")
    clock.now += 0.2
    fault("/a")
    fault("/a")
    assert [line.get("suppressed") for line in told(tmp_path)[5:]] == [18, None]


def test_flush_tells_of_windows_that_are_over(logs: Logs, tmp_path: Path, clock: Clock) -> None:
    """A fault that has ended is counted as well, once, with the fields that say which it was."""
    for _ in range(22):
        fault("/a", logging.ERROR, error="broken", in_s=0.5)
    logs.flush()
    assert len(told(tmp_path)) == 5
    clock.now += 31
    logs.flush()
    logs.flush()
    (report,) = told(tmp_path)[5:]
    assert {key: report[key] for key in report if key != "ts"} == {
        "level": "error",
        "event": "log.suppressed",
        "msg": "more of the same were left out",
        "of": "session.unreadable",
        "path": "/a",
        "error": "broken",
        "suppressed": 17,
    }
    fault("/a")
    assert "suppressed" not in told(tmp_path)[-1]


def test_closing_tells_everything(logs: Logs, tmp_path: Path) -> None:
    """What a window that is not over holds back is told at the end."""
    for _ in range(7):
        fault("/a")
    logs.close()
    assert told(tmp_path)[-1]["suppressed"] == 2


@pytest.mark.usefixtures("logs")
def test_other_faults_are_not_held_back(tmp_path: Path) -> None:
    """Another path, another reason and another exception are other faults."""
    for _ in range(5):
        fault("/a")
    fault("/b")
    fault("/a", error="other")
    fault("/a", name="sync.gave_up")
    for error in [*[ValueError("x")] * 5, TypeError("x")]:
        LOG.error("failed", exc_info=error, extra={"event": "sync.crashed"})
    assert len(told(tmp_path)) == 14


@pytest.mark.usefixtures("logs")
def test_changes_are_no_faults(tmp_path: Path) -> None:
    """Below warning everything is shown, however often."""
    for _ in range(300):
        fault("/a", logging.INFO)
    assert len(told(tmp_path)) == 300


@pytest.mark.usefixtures("logs")
def test_foreign_records_are_told_apart_by_their_message(tmp_path: Path) -> None:
    """A record without event and fields is known by its logger and its words."""
    other = logging.getLogger("somebody.else")
    for _ in range(9):
        other.warning("disk %s", "full")
    other.warning("disk %s", "gone")
    assert [line["msg"] for line in told(tmp_path)] == ["disk full"] * 5 + ["disk gone"]


def test_a_flood_of_different_faults_is_bounded(logs: Logs, tmp_path: Path, clock: Clock) -> None:
    """Ten thousand broken files are a hundred lines and one that counts the others; other events go on."""
    for number in range(10_000):
        fault(f"/{number}")
    fault("/x", name="sync.gave_up")
    assert len(told(tmp_path)) == 101
    clock.now += 31
    logs.flush()
    (report,) = told(tmp_path)[101:]
    assert (report["of"], report["suppressed"]) == ("session.unreadable", 9900)
    fault("/0")
    assert "suppressed" not in told(tmp_path)[-1]


@pytest.mark.usefixtures("logs")
def test_the_next_window_of_a_flood_tells_of_the_last(tmp_path: Path, clock: Clock) -> None:
    """Without a flush, the first fault of the next window comes behind the count."""
    for number in range(150):
        fault(f"/{number}")
    clock.now += 31
    fault("/150")
    assert [(line["event"], line.get("suppressed")) for line in told(tmp_path)[100:]] == [
        ("log.suppressed", 50),
        ("session.unreadable", None),
    ]


@pytest.mark.usefixtures("logs")
def test_what_was_left_out_holds_no_secret(tmp_path: Path, logs: Logs) -> None:
    """A sample is cut only after it was cleaned, so that no half of a secret stays."""
    for _ in range(7):
        fault("x" * 195 + "hunter2!", password="opensesame")
    logs.close()
    text = (tmp_path / "log").read_text()
    assert "hunt" not in text
    assert "opensesame" not in text
    assert told(tmp_path)[-1]["event"] == "log.suppressed"


def test_memory_is_bounded_and_every_record_is_accounted_for(clock: Clock) -> None:
    """With endless kinds of faults old ones are forgotten, and shown plus counted is what was logged."""
    limit = Limit(Redactor(), clock, most=1, most_of_event=10**9)
    counted = 0
    for number in range(20_000):
        for _ in range(2):
            record = logging.makeLogRecord(
                {"event": f"e{number % 1000}", "fields": {"path": str(number)}, "levelno": logging.ERROR}
            )
            verdict = limit.judge(record)
            counted += (
                verdict.is_shown + verdict.suppressed + sum(told.suppressed for told in verdict.reports)
            )
    assert len(limit._faults) <= 4096
    assert len(limit._events) <= 256
    assert counted + sum(told.suppressed for told in limit.due(everything=True)) == 40_000
