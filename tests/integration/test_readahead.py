"""The second process of a large import: it reads what this one would, and is never needed."""

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest

from sessiond.readahead import ReadAhead
from sessiond.reader import IDLE
from sessionlib.sync import reading
from sessionlib.sync.places import Place
from tests import builders
from tests.conftest import Wait
from tests.hostile.corpus import corpus

FEW = [f"s{number:03}" for number in range(20)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place with twenty sessions."""
    root = tmp_path / "garden" / "agents" / "sessions"
    for slug in FEW:
        builders.make_session(root, slug, builders.v2_building(5, [1, 2], topic=slug))
    return Place(UUID(int=1), UUID(int=2), tmp_path / "garden", "agents/sessions", root)


@pytest.fixture
def ahead() -> Iterator[ReadAhead]:
    ahead = ReadAhead()
    yield ahead
    ahead.close()


def begin(ahead: ReadAhead, place: Place, wait_until: Wait) -> int:
    """Read as a large import does until the other process is there; return its id."""
    wait_until(lambda: ahead(place, FEW, ()) and ahead.pid is not None, "the second process", 30)
    assert ahead.pid is not None
    return ahead.pid


def is_gone(pid: int) -> bool:
    """Tell whether there is no such process, not even one that nobody has waited for."""
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.timeout(300)
def test_it_reads_the_same(
    ahead: ReadAhead, place: Place, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever lies in a folder, honest or hostile, both processes read it alike, and as many at a time."""
    here = reading.portion
    for number, entry in enumerate(corpus()):
        run = {"soil": builders.research_run()}
        entry.write(builders.make_session(place.path, f"h{number:04}", research=run))
    (place.path / "no-state").mkdir()
    slugs = sorted(path.name for path in place.path.iterdir())
    time.sleep(0.2)  # what has just been written is to be looked at again, for a while
    begin(ahead, place, wait_until)

    def not_here(*_: object) -> None:
        raise AssertionError("read in this process")

    monkeypatch.setattr(reading, "portion", not_here)
    for settled in ((), frozenset(slugs)):
        left = slugs
        while left:
            there = ahead(place, [*left[:64], *FEW], settled)
            assert there == here(place, [*left[:64], *FEW], settled)
            left = left[min(64, len(there)) :]


def test_few_folders_are_read_here(ahead: ReadAhead, place: Place) -> None:
    """A save now and then, or a small import, starts nothing."""
    for _ in range(100):
        assert len(ahead(place, FEW[:3], ())) == 3
    for _ in range(12):
        assert ahead(place, FEW, ()) == reading.portion(place, FEW, ())
    assert ahead.pid is None


def test_where_it_is_not_allowed_or_of_no_use_there_is_none(place: Place) -> None:
    """Neither when the configuration forbids it, nor with one core."""
    cores = os.sched_getaffinity(0)
    one = ReadAhead()
    try:
        os.sched_setaffinity(0, {min(cores)})
        for ahead in (ReadAhead(allowed=False), one):
            for _ in range(30):
                assert len(ahead(place, FEW, ())) == len(FEW)
            assert ahead.pid is None
    finally:
        os.sched_setaffinity(0, cores)
        one.close()


def test_what_it_did_not_read_is_read_here(
    ahead: ReadAhead, place: Place, wait_until: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """Killed in the middle of an answer it costs nothing but time, and another one is started later."""
    pid = begin(ahead, place, wait_until)
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ahead, place, FEW, ())
        wait_until(lambda: ahead._child is not None and ahead._child._busy.locked())
        # While it hangs, others do not wait for it for long.
        assert ahead(place, FEW, ()) == reading.portion(place, FEW, ())
        assert not asked.done()
        os.kill(pid, signal.SIGKILL)
        assert asked.result(10) == reading.portion(place, FEW, ())
    wait_until(lambda: "no second process" in caplog.text)
    wait_until(lambda: is_gone(pid))
    assert begin(ahead, place, wait_until) != pid


@pytest.mark.slow
def test_it_ends_when_the_import_has(ahead: ReadAhead, place: Place, wait_until: Wait) -> None:
    """Without work for it there is soon no second process, and nothing left of it."""
    pid = begin(ahead, place, wait_until)
    began = time.monotonic()
    wait_until(lambda: is_gone(pid), "its end", IDLE + 20)
    assert time.monotonic() - began > IDLE / 2
    wait_until(lambda: ahead.pid is None)
    assert len(ahead(place, FEW, ())) == len(FEW)


def test_closing_ends_it_at_once(ahead: ReadAhead, place: Place, wait_until: Wait) -> None:
    """A daemon that stops leaves no process behind, and reads on without one."""
    pid = begin(ahead, place, wait_until)
    began = time.monotonic()
    ahead.close()
    assert is_gone(pid)
    assert time.monotonic() - began < IDLE / 2
    for _ in range(30):
        assert len(ahead(place, FEW, ())) == len(FEW)
    assert ahead.pid is None


def test_one_that_hangs_is_killed_at_the_end(ahead: ReadAhead, place: Place, wait_until: Wait) -> None:
    """A daemon does not wait for a file system that has gone away."""
    pid = begin(ahead, place, wait_until)
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ahead, place, FEW, ())
        wait_until(lambda: ahead._child is not None and ahead._child._busy.locked())
        ahead.close()
        assert len(asked.result(10)) == len(FEW)
    wait_until(lambda: is_gone(pid))


def test_one_that_cannot_be_started_is_tried_three_times(
    ahead: ReadAhead,
    place: Place,
    wait_until: Wait,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each time the operator is told, and the import goes on; then there is none any more."""
    caplog.set_level(logging.WARNING, "sessiond.readahead")
    monkeypatch.setattr("sessiond.readahead._WINDOW", 600.0)
    for count, program in enumerate(("/bin/false", "/nowhere/python", "/bin/false"), 1):
        monkeypatch.setattr(sys, "executable", program)
        for _ in range(13):
            assert len(ahead(place, FEW, ())) == len(FEW)
        wait_until(lambda count=count: caplog.text.count("no second process") == count)
        # The thread that told it is about to end; the next process waits for that.
        time.sleep(0.05)
    monkeypatch.undo()
    for _ in range(30):
        assert len(ahead(place, FEW, ())) == len(FEW)
    assert ahead.pid is None
    assert caplog.text.count("no second process") == 3
