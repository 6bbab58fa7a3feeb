"""The queue's threads: what is synced, in which order, and how often."""

import threading
import time

import pytest

from sessionlib.sync import lanes
from tests.conftest import Wait
from tests.queues import Gate, Make, Work, make_fixture, path, quick_fixture, work_fixture  # noqa: F401 - fixtures


def test_submitted_folders_are_synced_once(make: Make, work: Work) -> None:
    """What is submitted before and after the start is synced; the same folder waiting twice only once."""
    one = make(workers=1)
    one.submit(path("a"))
    one.submit(path("a"))
    one.submit(path("b"))
    one.start()
    assert one.drain(5) == 0
    assert work.names() == ["a", "b"]
    stats = one.stats()
    assert (stats.synced, stats.written, stats.waiting, stats.running, stats.failed) == (2, 2, 0, 0, 0)


def test_a_folder_is_never_synced_twice_at_once(make: Make, work: Work) -> None:
    """Submitted again and again by several threads, a folder is in one worker's hands at a time."""
    one = make(workers=6)
    one.start()
    work.behave = lambda _: time.sleep(0.0005)

    def submit() -> None:
        for number in range(150):
            one.submit(path(number % 3))

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert one.drain(10) == 0
    assert work.most_at_once == {"0": 1, "1": 1, "2": 1}


def test_dirtied_while_it_runs_it_runs_again(make: Make, work: Work) -> None:
    """A change during the sync is synced afterwards, once, however often it was told."""
    gate = Gate("a")
    work.behave = gate
    one = make(workers=2)
    one.start()
    one.submit(path("a"))
    assert gate.reached.wait(5)
    for _ in range(5):
        one.submit(path("a"))
    gate.open.set()
    assert one.drain(5) == 0
    assert work.names() == ["a", "a"]


def test_live_work_goes_before_batch_work(make: Make, work: Work) -> None:
    """What somebody waits for overtakes a reconcile's folders, the very same folder included."""
    gate = Gate("first")
    work.behave = gate
    one = make(workers=1, batch_most=2)
    one.start()
    one.submit(path("first"))
    assert gate.reached.wait(5)
    ticket = one.submit_batch(map(path, ["b1", "b2", "b3", "shared"]))
    one.submit(path("live"))
    one.submit(path("shared"))
    gate.open.set()
    assert ticket.wait(5)
    assert work.calls == [["first"], ["live", "shared"], ["b1", "b2"], ["b3"]]


def test_batches_leave_a_worker_for_live_work(make: Make, work: Work) -> None:
    """While a reconcile runs on all workers but one, live work does not wait for it."""
    gate = Gate("b0", "b1", "b2", "b3")
    work.behave = gate
    one = make(workers=3, batch_most=1)
    one.start()
    ticket = one.submit_batch(path(f"b{n}") for n in range(4))
    assert gate.reached.wait(5)
    one.submit(path("live"))
    for _ in range(1000):
        if "live" in work.names():
            break
        time.sleep(0.002)
    assert "live" in work.names()
    assert ticket.left == 4
    gate.open.set()
    assert ticket.wait(5)


def test_a_drain_does_not_swallow_a_wake_up(make: Make, work: Work, wait_until: Wait) -> None:
    """While somebody drains, each new folder still wakes a worker at once."""
    gate = Gate("hangs")
    work.behave = gate
    one = make(workers=2)
    one.submit(path("hangs"))
    one.start()
    assert gate.reached.wait(5)
    drains = [threading.Thread(target=one.drain, args=(10,)) for _ in range(3)]
    for thread in drains:
        thread.start()
    for number in range(20):
        one.submit(path(number))
        wait_until(lambda number=number: str(number) in work.names(), "a wake-up", 5)
    gate.open.set()
    for thread in drains:
        thread.join(5)


def test_submitting_costs_microseconds(make: Make, work: Work) -> None:
    """While four workers are busy most submissions take microseconds; the benchmarks say how many."""
    work.behave = lambda _: time.sleep(0.0002)
    one = make(workers=4)
    one.start()
    paths = [path(number) for number in range(500)]
    costs = []
    for number in range(4000):
        started = time.perf_counter()
        one.submit(paths[number % 500])
        costs.append(time.perf_counter() - started)
    costs.sort()
    # Wide enough for a busy machine that traces every line, and far below anything that waits for a worker.
    assert costs[len(costs) // 2] < 0.0002
    assert costs[len(costs) * 99 // 100] < 0.05


def test_batch_work_comes_in_small_groups_while_there_is_live_work(
    make: Make, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once somebody saves, a reconcile's groups are short, so that the next save need not wait long."""
    monkeypatch.setattr(lanes, "LIVELY", 60.0)
    one = make(workers=1, batch_most=4, batch_few=2)
    ticket = one.submit_batch(path(f"a{n}") for n in range(8))
    one.start()
    assert ticket.wait(5)
    one.submit(path("live"))
    assert one.drain(5) == 0
    ticket = one.submit_batch(path(f"b{n}") for n in range(4))
    assert ticket.wait(5)
    assert [len(names) for names in work.calls] == [4, 4, 1, 2, 2]


def test_groups_of_live_work_grow_with_the_line(make: Make, work: Work) -> None:
    """A few saves go into the database in short transactions, thousands of them in long ones."""
    one = make(workers=1, live_most=2, batch_most=8)
    for number in range(100):
        one.submit(path(number))
    one.start()
    assert one.drain(5) == 0
    sizes = [len(names) for names in work.calls]
    assert sizes[:3] == [8, 8, 8]
    assert sizes[-2] == 2
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == 100
