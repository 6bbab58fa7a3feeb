"""What the queue says about its progress, and other options while it runs."""

import threading
import time

from sessionlib.errors import DatabaseUnavailableError
from sessionlib.sync.mirror import Outcome, Result
from sessionlib.sync.queue_stats import QueueOptions
from tests.conftest import Wait
from tests.queues import FAST, ROOT, Make, Work, make_fixture, quick_fixture, work_fixture

__all__ = ["make_fixture", "quick_fixture", "work_fixture"]


def test_the_oldest_change_is_known_until_it_is_mirrored(make: Make, work: Work, wait_until: Wait) -> None:
    """A change has an age from the moment it is noted, also while it is being synced, and none after."""
    gate = threading.Event()
    work.behave = lambda _: gate.wait(10) and None
    one = make(workers=1)
    assert one.stats().oldest is None
    before = time.monotonic()
    one.submit(ROOT / "a")
    one.start()
    wait_until(lambda: one.stats().running == 1)
    time.sleep(0.01)
    one.submit(ROOT / "b")
    oldest = one.stats().oldest
    assert oldest is not None
    assert before <= oldest <= time.monotonic() - 0.01
    gate.set()
    wait_until(lambda: one.stats().oldest is None)


def test_a_worker_that_hangs_is_seen_to_hold_work(make: Make, work: Work, wait_until: Wait) -> None:
    """While one holds a folder nothing progresses; afterwards nothing is held."""
    gate = threading.Event()
    work.behave = lambda _: gate.wait(10) and None
    one = make(workers=1)
    one.start()
    one.submit(ROOT / "a")
    wait_until(lambda: one.stats().running == 1)
    assert one.holding_since() is not None
    assert one.progressed is None
    gate.set()
    wait_until(lambda: one.holding_since() is None)
    wait_until(lambda: one.progressed is not None)
    assert one.is_alive


def test_an_outage_is_no_hanging(make: Make, work: Work, wait_until: Wait) -> None:
    """What waits for the database is not held by the queue, but it is old."""

    def refuse(_names: list[str]) -> None:
        raise DatabaseUnavailableError("down")

    def still_down() -> None:
        raise DatabaseUnavailableError("down")

    work.behave = refuse
    one = make(workers=1, probe=still_down)
    one.start()
    one.submit(ROOT / "a")
    wait_until(lambda: one.stats().paused is not None)
    assert one.holding_since() is None
    stats = one.stats()
    assert stats.oldest is not None
    assert stats.paused_for is not None
    assert one.drain(30) == 1  # at once: there is nothing to wait for


def test_more_workers_start_and_surplus_ones_leave(make: Make, work: Work, wait_until: Wait) -> None:
    """Changing the number while the queue runs loses no folder and ends no sync."""
    gate = threading.Event()
    work.behave = lambda _: gate.wait(10) and None
    one = make(workers=1, live_most=1)
    one.start()
    for number in range(8):
        one.submit(ROOT / f"s{number}")
    wait_until(lambda: one.stats().running == 1)
    one.change(QueueOptions(workers=4, live_most=1, policy=FAST))
    wait_until(lambda: one.stats().running == 4)
    assert one.stats().workers == 4
    one.change(QueueOptions(workers=1, live_most=1, policy=FAST))
    gate.set()
    wait_until(lambda: len(work.names()) == 8 and one.stats().running == 0)
    wait_until(lambda: sum(thread.name.startswith("sync-") for thread in threading.enumerate()) == 1)
    assert one.is_alive
    one.submit(ROOT / "last")
    wait_until(lambda: "last" in work.names())


def test_workers_that_were_to_leave_may_stay(make: Make, work: Work, wait_until: Wait) -> None:
    """Fewer and then more again, while all are busy, starts none that is not needed."""
    gate = threading.Event()
    work.behave = lambda _: gate.wait(10) and None
    one = make(workers=3, live_most=1)
    one.start()
    for number in range(3):
        one.submit(ROOT / f"s{number}")
    wait_until(lambda: one.stats().running == 3)
    one.change(QueueOptions(workers=1, policy=FAST))
    one.change(QueueOptions(workers=3, policy=FAST))
    assert sum(thread.name.startswith("sync-") for thread in threading.enumerate()) == 3
    gate.set()
    wait_until(lambda: one.stats().synced == 3)
    assert sum(thread.name.startswith("sync-") for thread in threading.enumerate()) == 3


def test_what_a_comparison_does_not_find_again_is_owed_no_longer(
    make: Make, work: Work, wait_until: Wait
) -> None:
    """A folder that is gone is forgiven; one that failed again since, or waits to be tried, is not."""
    gate = threading.Event()
    work.behave = lambda _: [Result(_[0], Outcome.REJECTED, "no")]
    one = make(workers=1, live_most=1)
    one.start()
    for name in ("gone", "again", "waits"):
        one.submit(ROOT / name)
    wait_until(lambda: len(one.owed) == 3)
    began = time.monotonic()
    one.submit(ROOT / "again")
    wait_until(lambda: one.stats().failed == 4)
    work.behave = lambda _: gate.wait(10) and None
    one.submit(ROOT / "waits")
    one.forgive(list(one.owed), before=began)
    assert set(one.owed) == {ROOT / "again", ROOT / "waits"}
    gate.set()
    wait_until(lambda: set(one.owed) == {ROOT / "again"})
