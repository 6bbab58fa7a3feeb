"""A sync queue for tests, with a work function that does what the test is about.

A test module imports the fixtures it uses.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event, Lock
from typing import Any

import pytest

from sessionlib.sync import outage, queue
from sessionlib.sync.mirror import Outcome, Result
from sessionlib.sync.queue import SyncQueue
from sessionlib.sync.queue_stats import QueueOptions
from sessionlib.sync.retry import RetryPolicy

ROOT = Path("/project/agents/sessions")
FAST = RetryPolicy(attempts=3, first=0.001, cap=0.002, jitter=0.0)


class Work:
    """A work function that notes its calls; `behave` may block, raise, or return other outcomes."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.settled: list[frozenset[Path]] = []
        self.behave: Callable[[list[str]], Any] = lambda _: None
        self.most_at_once: dict[str, int] = {}
        self._now: dict[str, int] = {}
        self._lock = Lock()

    def __call__(self, paths: Sequence[Path], settled: frozenset[Path]) -> list[Result]:
        names = [path.name for path in paths]
        with self._lock:
            self.calls.append(names)
            self.settled.append(settled)
            for name in names:
                self._now[name] = self._now.get(name, 0) + 1
                self.most_at_once[name] = max(self.most_at_once.get(name, 0), self._now[name])
        try:
            outcome = self.behave(names)
        finally:
            with self._lock:
                for name in names:
                    self._now[name] -= 1
        if isinstance(outcome, list):
            return outcome
        return [Result(name, outcome or Outcome.WRITTEN) for name in names]

    def names(self) -> list[str]:
        return [name for call in self.calls for name in call]


@pytest.fixture(name="work")
def work_fixture() -> Work:
    """What the queue does."""
    return Work()


Make = Callable[..., SyncQueue]


@pytest.fixture(name="make")
def make_fixture(work: Work) -> Iterator[Make]:
    """Make queues that are closed at the end."""
    made: list[SyncQueue] = []

    def make(workers: int = 2, probe: Callable[[], None] = lambda: None, **options: Any) -> SyncQueue:
        chosen = QueueOptions(workers=workers, policy=FAST, **options)
        made.append(SyncQueue(work, probe=probe, options=chosen))
        return made[-1]

    yield make
    for one in made:
        one.close(5)


@pytest.fixture(autouse=True, name="quick")
def quick_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all delays be short."""
    monkeypatch.setattr(outage, "FIRST_PROBE", 0.002)
    monkeypatch.setattr(outage, "LONGEST_PROBE", 0.01)
    monkeypatch.setattr(queue, "_RACY_RECHECK", 0.005)
    monkeypatch.setattr(queue, "TORN_DELAYS", (0.001, 0.001, 0.001))


def path(name: object) -> Path:
    """Return the path of a session folder."""
    return ROOT / str(name)


class Gate:
    """Holds work up until it is opened, and tells when something waits at it."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.reached = Event()
        self.open = Event()

    def __call__(self, names: list[str]) -> None:
        if not self.names or set(names) & set(self.names):
            self.reached.set()
            assert self.open.wait(10)
