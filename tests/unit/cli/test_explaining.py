"""`sessionctl logs --explain` tells an operator what an event means and what to do about it."""

import json

import pytest

from sessionlib.cli import main as door
from sessionlib.cli.explaining import explained
from sessionlib.errors import UsageError


def test_one_event_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """With the command or the step that helps; nothing is asked of a database."""
    assert door.main(["logs", "--explain", "watch.instances"]) == 0
    assert "sysctl fs.inotify.max_user_instances" in capsys.readouterr().out


def test_every_row_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """All of them, for programs."""
    assert door.main(["logs", "--json", "--explain"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len(rows) > 50
    assert all(row["events"] and row["level"] and row["meaning"] and row["advice"] for row in rows)
    names = [name for row in rows for name in row["events"]]
    assert len(names) == len(set(names))


def test_a_part_stands_for_its_events() -> None:
    """The first word alone."""
    assert {name.partition(".")[0] for row in explained("spool") for name in row.events} >= {"spool"}


def test_an_unknown_event_is_named_with_the_next_one() -> None:
    """A slip of the pen is not met with a list of a hundred."""
    with pytest.raises(UsageError) as caught:
        explained("wach.limit")
    assert caught.value.hint == "perhaps watch.limit"
