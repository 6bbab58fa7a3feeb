"""What is news: whoever replays it knows what the row says, and every version comes once."""

from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from sessiond.news import LONG_AGO, Known, News, news_of
from sessionlib.db.queries.changes import SessionNow, Version
from tests.worlds import T0


@dataclass
class Story:
    """A session whose row and history change; every step has a time of its own."""

    versions: list[Version] = field(default_factory=list)
    written: int | None = None
    missing: int | None = None
    error: str | None = None
    clock: int = 0

    def step(self, what: str) -> None:
        self.clock += 1
        if what == "save":
            self.versions.append(Version(len(self.versions) + 1, f"p{self.clock}", "active", at(self.clock)))
            self.written, self.missing, self.error = self.clock, None, None
        elif what == "plan" and self.versions and self.missing is None:
            self.written = self.clock
        elif what == "remove" and self.versions and self.missing is None:
            self.missing = self.clock
        elif what == "restore":
            self.missing = None
        elif what == "break" and self.missing is None:
            self.error = f"broken at {self.clock}"
        elif what == "mend" and self.missing is None:
            self.error = None

    def now(self, known: Known) -> SessionNow | None:
        """Return what a look with this knowledge reads."""
        if not self.versions and self.error is None:
            return None
        fresh = [one for one in self.versions if one.seq > known.seq and one.at > known.since]
        phase = self.versions[-1].phase if self.versions else None
        return SessionNow(
            project="garden",
            seq=len(self.versions),
            phase=phase,
            status="active" if self.versions else None,
            missing_since=None if self.missing is None else at(self.missing),
            written_at=None if self.written is None else at(self.written),
            error=self.error,
            error_at=None,
            versions=tuple(fresh),
        )


def at(clock: int):
    """Return the time of a step."""
    return T0 + timedelta(seconds=clock)


STEPS = st.lists(st.sampled_from(["save", "plan", "remove", "restore", "break", "mend", "look"]), max_size=40)


@given(before=STEPS, after=STEPS)
def test_replaying_the_news(before: list[str], after: list[str]) -> None:
    """At any moments of looking: each version after the start once and in order, and the state is told."""
    story = Story()
    for step in before:
        story.step(step)
    begun = story.clock
    old_versions = len(story.versions)
    known = Known(0, at(begun), at(begun), at(begun), story.missing is not None, story.error)
    believed = {"missing": story.missing is not None, "error": story.error}
    heard: list[News] = []
    for step in [*after, "look"]:
        if step != "look":
            story.step(step)
            continue
        now = story.now(known)
        news = list(news_of(known, now, at(story.clock)))
        for one in news:
            replay(believed, one)
        heard += news
        if now is None:
            known = Known(0, at(begun), at(begun), at(begun), missing=False, error=None)
            continue
        if news or known.seen:
            known.take(now)
        assert believed["missing"] == (now.missing_since is not None)
        if now.missing_since is None:
            assert believed["error"] == now.error
    numbers = [one.seq for one in heard if one.kind in ("created", "changed")]
    fresh = list(dict.fromkeys(number for number in numbers if number > old_versions))
    assert fresh == list(range(old_versions + 1, len(story.versions) + 1))
    assert [one.seq for one in heard if one.kind == "created"] == ([1] if 1 in fresh else [])
    assert numbers == sorted(numbers)


def replay(believed: dict[str, object], one: News) -> None:
    """Believe what a listener would."""
    if one.kind == "removed":
        believed["missing"] = True
    elif one.kind == "restored":
        believed.update(missing=False, error=None)
    else:
        believed["error"] = one.error
        if one.kind == "created":
            believed["missing"] = False


def test_a_second_look_finds_nothing() -> None:
    """What was published once is no news, whatever it was."""
    story = Story()
    for step in ("save", "break", "save", "remove"):
        story.step(step)
        known = Known(0, LONG_AGO, LONG_AGO, LONG_AGO, missing=False, error=None)
        now = story.now(known)
        assert now is not None
        assert list(news_of(known, now, T0))
        known.take(now)
        assert list(news_of(known, story.now(known), T0)) == []
