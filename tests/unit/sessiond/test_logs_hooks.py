"""What Python would print over several lines is one record: crashes of threads, and warnings."""

import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessiond.logs import LogOptions, Logs, set_up


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    """The log, as JSON in the file `log`."""
    made = set_up(LogOptions("info", "json", tmp_path / "log"), secrets=("hunter2!",))
    yield made
    made.close()


def told(tmp_path: Path) -> list[dict[str, Any]]:
    """Return what the file says."""
    return [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]


def fail() -> None:
    """Raise."""
    raise ValueError("with hunter2!")


@pytest.mark.usefixtures("logs")
def test_a_thread_that_crashes_is_one_record(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With its name and its traceback, without secrets, and nothing on standard error."""
    thread = threading.Thread(target=fail, name="worker 1")
    thread.start()
    thread.join()
    (line,) = told(tmp_path)
    assert (line["event"], line["level"], line["thread"]) == ("thread.crashed", "critical", "worker 1")
    assert line["error"] == "with ***"
    assert "in fail" in line["traceback"]
    assert line["traceback"].endswith("ValueError: with ***")
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("logs")
def test_a_thread_that_leaves_is_no_crash(tmp_path: Path) -> None:
    """SystemExit in a thread ends the thread, as Python has it."""
    thread = threading.Thread(target=sys.exit)
    thread.start()
    thread.join()
    assert told(tmp_path) == []


def test_a_main_thread_that_crashes_is_one_record() -> None:
    """The process ends with 1 as ever, and its last word is one line."""
    body = """
from sessiond.logs import LogOptions, set_up
set_up(LogOptions(), secrets=["hunter2!"])
raise ValueError("with\\nhunter2!")
"""
    done = subprocess.run(
        [sys.executable, "-c", body], check=False, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "level=critical event=thread.crashed" in line
    assert "thread=MainThread" in line
    assert "hunter2" not in line


class _Stubborn:
    """Raises while it is taken down."""

    def __del__(self) -> None:
        fail()


@pytest.mark.usefixtures("logs")
def test_what_cannot_be_raised_is_one_record(tmp_path: Path) -> None:
    """An exception in a finaliser is told with its traceback."""
    _Stubborn()
    (line,) = told(tmp_path)
    assert (line["event"], line["level"]) == ("python.unraisable", "warning")
    assert line["traceback"].endswith("ValueError: with ***")


@pytest.mark.usefixtures("logs")
def test_a_warning_is_one_record(tmp_path: Path) -> None:
    """With its category and where it came from; repeated ones are limited like any fault."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for _ in range(9):
            warnings.warn("old\nhabit", DeprecationWarning, stacklevel=1)
    lines = told(tmp_path)
    assert len(lines) == 5
    assert (lines[0]["event"], lines[0]["level"]) == ("python.warning", "warning")
    assert (lines[0]["msg"], lines[0]["category"]) == ("old\nhabit", "DeprecationWarning")
    assert lines[0]["file"] == __file__


@pytest.mark.usefixtures("logs")
def test_the_watchers_noise_is_left_out(tmp_path: Path) -> None:
    """watchdog's warnings about a race that it handles would print its whole map of watches."""
    warnings.warn_explicit(
        "Callback …", RuntimeWarning, "inotify_c.py", 1, module="watchdog.observers.inotify_c"
    )
    assert told(tmp_path) == []


def test_hooks_that_somebody_put_in_since_stay(logs: Logs) -> None:
    """Closing takes back only what is ours."""

    def theirs(*_: object) -> None:
        """Do nothing."""

    before = sys.excepthook
    try:
        sys.excepthook = theirs
        logs.close()
        assert sys.excepthook is theirs
    finally:
        sys.excepthook = before


def test_our_own_loggers_are_heard_once(logs: Logs, tmp_path: Path) -> None:
    """A child logger's record is written once although two loggers stand above it."""
    assert logs.options.level == "info"
    logging.getLogger("sessiond.a.b").info("x")
    assert len(told(tmp_path)) == 1
