"""Processes that count in one document under its lock, while those that hold the lock are killed."""

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from sessionlib.state.layout import LOCK_FILE
from tests import builders
from tests.faults.ground import Figure, Ground, until
from tests.faults.nursery import Child
from tests.faults.saves import state_of
from tests.load import busy

_SPREAD = 0.9
"""The part of the counting over which the kills are spread; the last of it is left to whoever follows."""
_PROMPT = 1.0
"""Seconds after a holder's death within which somebody else holds the lock."""


class _Counter(NamedTuple):
    """One process: the name it counts under, how far it is to go, and its log: a byte for each update."""

    name: str
    times: int
    child: Child
    log: Path

    @property
    def acknowledged(self) -> int:
        return self.log.stat().st_size


class _Counters:
    """Processes that count in one session; whoever is killed is followed by one that does the rest."""

    def __init__(self, ground: Ground, session: Path, processes: int, each: int) -> None:
        self.running: list[_Counter] = []
        self.over: list[_Counter] = []
        self._ground = ground
        self._session = session
        for _ in range(processes):
            self._start(each)

    def _start(self, times: int) -> None:
        name = f"p{len(self.running) + len(self.over)}"
        log = self._ground.home / f"count-{name}.log"
        log.touch()
        order = ["hand", "count", str(self._session), name, str(times)]
        child = self._ground.tools.nursery.start(order, dict(os.environ), log)
        self.running.append(_Counter(name, times, child, log))

    def acknowledged(self) -> int:
        """Count the updates acknowledged so far, by all that ever counted."""
        return sum(one.acknowledged for one in [*self.running, *self.over])

    def settle(self) -> bool:
        """Put those aside that have ended; tell whether none is left."""
        for one in list(self.running):
            if (code := one.child.poll()) is not None:
                assert code in {0, -9}, one.log.read_text(errors="replace")
                self.running.remove(one)
                self.over.append(one)
        return not self.running

    def holder(self) -> _Counter | None:
        """Return who holds the lock at this moment: the kernel itself lists it."""
        held = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        lock = self._session / LOCK_FILE
        inode = str(lock.stat().st_ino) if lock.exists() else ""
        pids = {int(line[4]) for line in held if line[1] == "FLOCK" and line[5].rpartition(":")[2] == inode}
        return next((one for one in self.running if one.child.pid in pids), None)

    def stop(self, *, holding: bool) -> _Counter | None:
        """Stop whoever holds the lock, or anyone; return it if it stands (and holds it still), else None."""
        self.settle()
        one = self.holder() if holding else self._ground.chance.choice(self.running)
        # It may end by itself meanwhile.
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            if one is not None:
                os.kill(one.child.pid, signal.SIGSTOP)
                until(lambda: state_of(one.child) in {"T", "Z"}, f"{one.name} to stop", 10.0)
                if not holding or self.holder() is one:
                    return one
                os.kill(one.child.pid, signal.SIGCONT)
        return None

    def kill(self, one: _Counter) -> float:
        """Kill one and begin its rest; return the seconds after which somebody else held the lock."""
        died = time.monotonic()
        one.child.send_signal(signal.SIGKILL)
        one.child.wait(10)
        self.settle()
        if left := one.times - one.acknowledged:
            self._start(left)
        # Those that have ended are asked for no more: whoever is found is another one.
        return until(self.holder, "the next holder", _PROMPT * busy(), since=died) - died


def locked_counts(ground: Ground, processes: int, each: int, kills: int) -> Figure:
    """Let processes count in one document and kill some of them: no update is lost, nobody waits for long.

    The kills are spread over the counting. Every other one strikes a process that holds the lock, wherever
    in its save that is; the others strike anyone at any moment. A killed one is followed by one that counts
    the rest under a name of its own, so that as many updates are acknowledged as without any kill.
    """
    if not Path("/proc/locks").exists():
        pytest.skip("this system does not list its locks")
    session = builders.make_session(ground.project(), "one", builders.v2())
    total, began = processes * each, time.monotonic()
    patience = 20.0 + total * 0.05
    counters = _Counters(ground, session, processes, each)
    waits = []
    for number in range(kills):
        due = (number + ground.chance.random()) / kills * _SPREAD * total
        until(lambda: counters.acknowledged() >= due, f"{due:.0f} updates", patience)  # noqa: B023 - asked here
        waits.append(counters.kill(_stopped(counters, holding=number % 2 == 0)))
    until(counters.settle, "the counts", patience)
    counts = json.loads((session / "state.json").read_bytes())["counts"]
    for one in counters.over:
        # What was saved and not acknowledged when it was killed counts, too.
        surplus = counts.get(one.name, 0) - one.acknowledged
        assert 0 <= surplus <= (one.child.returncode != 0), (one, counts.get(one.name), one.acknowledged)
    assert [one.child.returncode for one in counters.over].count(-9) == kills
    assert counters.acknowledged() == total <= sum(counts.values())
    seconds = time.monotonic() - began
    did = f"{processes} processes, {total:,} locked updates in {seconds:.0f} s"
    halves = len(list(session.glob(".*.tmp")))
    words = f"{did}; {(kills + 1) // 2} of the killed held the lock, {halves} were in the middle of a write"
    return Figure("lock holders killed", words, kills, recovered=max(waits))


def _stopped(counters: _Counters, *, holding: bool) -> _Counter:
    """Stop a process, one that holds the lock if so asked: until it is killed it holds it."""
    found: list[_Counter] = []

    def stopped() -> bool:
        found.extend(one for one in [counters.stop(holding=holding)] if one)
        return bool(found)

    until(stopped, "a holder", 20.0)
    return found[0]
