"""Polling: which sessions look different now, and how often to look."""

import shutil
from pathlib import Path

import pytest

from sessiond.watch.polling import Looks, Spacing
from tests.watching import make_session, save

LATER_NS = 10**18 * 4  # far ahead of every file


@pytest.fixture
def session(tmp_path):
    """A session folder."""
    return make_session(tmp_path)


@pytest.fixture
def looks(session):
    """Looks to which every file is old, and which have seen the session."""
    looks = Looks(clock_ns=lambda: LATER_NS)
    looks.changed([str(session)])
    return looks


class TestLooks:
    def test_unchanged(self, looks, session):
        """What did not change is not named."""
        assert looks.changed([str(session)]) == []

    def test_new(self, looks, session, tmp_path):
        """A session that was not named before is new, and one that is not named any more is forgotten."""
        other = make_session(tmp_path, "two")
        assert looks.changed([str(other)]) == [str(other)]
        assert looks.changed([str(session)]) == [str(session)]

    @pytest.mark.parametrize("name", ["state.json", "plan.json", "research/run/state.json"])
    def test_changed(self, looks, session, name):
        """A replaced input of any kind is a change, and one change is named once."""
        (session / name).parent.mkdir(parents=True, exist_ok=True)
        save((session / name).parent, "{1}", Path(name).name)
        assert looks.changed([str(session)]) == [str(session)]
        assert looks.changed([str(session)]) == []

    def test_gone(self, looks, session):
        """A session that goes is a change once."""
        shutil.rmtree(session)
        assert looks.changed([str(session)]) == [str(session)]
        assert looks.changed([str(session)]) == []

    def test_lock_file_is_no_change(self, looks, session):
        """A file that is no input is no change."""
        (session / ".state.lock").touch()
        assert looks.changed([str(session)]) == []

    def test_young_files_are_looked_at_once_more(self, session):
        """A file that may have changed within one tick of its clock is named again when it is older."""
        now = (session / "state.json").stat().st_mtime_ns
        looks = Looks(clock_ns=lambda: now)
        assert looks.changed([str(session)]) == [str(session)]
        assert looks.changed([str(session)]) == []
        now += 3 * 10**9
        assert looks.changed([str(session)]) == [str(session)]
        assert looks.changed([str(session)]) == []


class TestSpacing:
    def test_quick_looks_keep_the_interval(self):
        """A look that takes no time is due again after the interval."""
        now = 0.0
        spacing = Spacing(2.0, clock=lambda: now)
        assert spacing.due()
        spacing.done()
        now = 1.9
        assert not spacing.due()
        now = 2.0
        assert spacing.due()

    def test_slow_looks_are_spaced_out(self):
        """A look takes no more than its share of the time."""
        now = 0.0
        spacing = Spacing(2.0, share=0.1, clock=lambda: now)
        assert spacing.due()
        now = 1.0
        spacing.done()
        now = 9.9
        assert not spacing.due()
        now = 10.0
        assert spacing.due()
