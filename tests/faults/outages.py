"""PostgreSQL stops, restarts, hangs and resets; what is saved meanwhile is mirrored within ten seconds."""

import re
import signal
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self

from sessionlib.errors import ControlError
from tests.faults.ground import RECOVERY, Figure, Ground, Keeper, until
from tests.faults.resetting import Resetter
from tests.faults.writers import Writers
from tests.load import busy
from tests.proxies import Proxy

ANSWER = 0.1
"""Seconds within which a status is answered, whatever the database does."""
FREED = 15.0
"""Seconds within which a worker that waits for a dead database is free again."""
REMINDER = 30.0
"""Seconds after which an outage is told again, by the next probe."""
_PROBES = 8.0
"""Seconds between two probes, at most, on a machine that is busy."""
_LEFT_OUT = re.compile(r" suppressed=(\d+)")
_SESSIONS = 20


class Asker:
    """Asks a daemon for its status five times a second, for the length of a ``with`` block.

    Args:
        daemon: Whom.
    """

    def __init__(self, daemon: Keeper) -> None:
        self._daemon = daemon
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.times: list[float] = []
        self.missed = 0

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; every answer must have come, and in time."""
        self._stop.set()
        self._thread.join(20)
        if kind is None:
            assert self.times
            assert not self.missed, f"{self.missed} of {len(self.times)} not answered"
            usual = sorted(self.times)[int(len(self.times) * 0.9)]
            # Nine of ten: on a machine that others use too, one may have to wait for a core.
            assert usual < ANSWER * busy(), self.times
            assert max(self.times) < 2.0, self.times

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            began = time.monotonic()
            try:
                self._daemon.client.status()
            except ControlError:
                self.missed += 1
            self.times.append(time.monotonic() - began)


def freed(daemon: Keeper) -> float:
    """Wait until the daemon has said that the database is down, and no worker waits for it any more.

    Returns:
        The seconds that took.
    """
    began = time.monotonic()
    daemon.wait_for("event=db.down ", FREED)
    # Somebody who could not connect has said so; those that wait for an answer are to be free as well.
    found = until(lambda: not daemon.client.status().queue.running, "the workers", FREED, daemon.tail, began)
    return found - began


def check_lines(daemon: Keeper, outages: int, seconds: float, vain: float = 0.0) -> None:
    """Each outage has one line when it begins, one when it is over, and a reminder for each half minute.

    Args:
        daemon: Whose; it has recovered, and is ended here.
        outages: How many there were.
        seconds: How long each was left to last once it was noticed.
        vain: For how long at most a probe waits for an answer.
    """
    until(lambda: daemon.client.status().database.up, "the database", RECOVERY, daemon.tail)
    # At its end it tells what it has left out because there was much of the same.
    daemon.end()
    said = {event: _said(daemon, event) for event in ("db.down", "db.up", "db.still_down")}
    assert said["db.down"] == said["db.up"] == outages, said
    fewest = outages * int(seconds / (REMINDER + _PROBES + vain))
    most = outages * int((seconds + FREED + RECOVERY) / REMINDER)
    assert fewest <= said["db.still_down"] <= most, (fewest, most, said)
    check_quiet(daemon)


def _said(daemon: Keeper, event: str) -> int:
    """Return how often an event was logged since the last start, or was one too many of the same to be."""
    lines = daemon.said.splitlines()
    shown = [line for line in lines if f"event={event} " in line]
    hidden = [line for line in lines if "event=log.suppressed" in line and f"of={event} " in f"{line} "]
    left_out = (_LEFT_OUT.search(line) for line in [*shown, *hidden])
    return len(shown) + sum(int(found[1]) for found in left_out if found is not None)


def check_quiet(daemon: Keeper) -> None:
    """Each part says at most once that an outage concerns it; of reminders there are only the queue's."""
    loud = [line for line in daemon.said.splitlines() if "level=warning" in line or "level=error" in line]
    events = Counter(line.partition("event=")[2].partition(" ")[0] for line in loud)
    most = _said(daemon, "db.down") + 1
    assert all(count <= most for name, count in events.items() if name != "db.still_down"), (events, loud)
    assert "psycopg" not in events, loud


def stopped(ground: Ground, seconds: float) -> Figure:
    """Stop the server for a while; agents go on, the status is answered, and all is there when it is back."""
    server = ground.tools.own_server()
    root = ground.project(count=_SESSIONS)
    daemon = ground.keeper(server.url("mirror"))
    daemon.start()
    daemon.recovered()
    with Writers(root, ground.chance, _SESSIONS, pause=0.1) as writers:
        server.stop(signal.SIGQUIT)
        with Asker(daemon):
            daemon.wait_for("event=db.down ", FREED)
            assert not daemon.client.status().database.up
            time.sleep(seconds)
            server.start()
            back = time.monotonic()
            writers.pause()
            took = daemon.recovered(back)
    check_lines(daemon, 1, seconds)
    daemon.check_clean()
    return Figure("PostgreSQL stopped", f"{seconds:.0f} s, {writers.saves:,} saves", 1, 0, took)


def restarted(ground: Ground, times: int) -> Figure:
    """Restart the server without warning again and again under four writers; each time all is there soon."""
    server = ground.tools.own_server()
    root = ground.project(count=_SESSIONS)
    daemon = ground.keeper(server.url("mirror"))
    daemon.start()
    daemon.recovered()
    longest = 0.0
    with Writers(root, ground.chance, _SESSIONS, pause=0.01) as writers:
        for _ in range(times):
            time.sleep(ground.chance.uniform(0.1, 0.6))
            server.stop(signal.SIGQUIT)
            server.start()
            back = time.monotonic()
            writers.pause()
            longest = max(longest, daemon.recovered(back))
            # Before another one begins, so that each is one of its own.
            until(lambda: daemon.client.status().database.up, "the database", RECOVERY, daemon.tail)
            writers.resume()
    check_lines(daemon, times, 0.0)
    daemon.check_clean()
    return Figure("PostgreSQL restarted", f"at once, {writers.saves:,} saves", times, 0, longest)


def hung(ground: Ground, proxy: Proxy, seconds: float) -> Figure:
    """Let the server accept and say nothing; a worker is free again in time, and the status is answered."""
    root = ground.project(count=_SESSIONS)
    direct = ground.tools.new_database("postgres")
    daemon = ground.keeper(proxy.url(direct))
    daemon.url = direct
    daemon.start()
    daemon.recovered()
    with Writers(root, ground.chance, _SESSIONS, pause=0.1) as writers, Asker(daemon):
        proxy.set("blackhole")
        after = freed(daemon)
        time.sleep(seconds)
        writers.pause()
        proxy.set("pass")
        took = daemon.recovered(time.monotonic())
    check_lines(daemon, 1, seconds, FREED)
    daemon.check_clean()
    words = f"acknowledging, {seconds:.0f} s, all workers freed after {after:.1f} s"
    return Figure("PostgreSQL hung", words, 1, 0, took)


def reset_in_commit(ground: Ground, proxy: Resetter, times: int) -> Figure:
    """Reset connections in mid-commit, before and after the server did it: none is lost or doubled."""
    root = ground.project(count=_SESSIONS)
    direct = ground.tools.new_database("postgres")
    daemon = ground.keeper(proxy.url(direct))
    daemon.url = direct
    daemon.start()
    longest = daemon.recovered()
    with Writers(root, ground.chance, _SESSIONS, pause=0.02) as writers:
        for number in range(times):
            wanted = proxy.done + 1
            if number % 2:
                proxy.before = 1
            else:
                proxy.after = 1
            until(lambda: proxy.done >= wanted, "a commit", 20.0, daemon.tail)  # noqa: B023 - asked here
            back = time.monotonic()
            writers.pause()
            longest = max(longest, daemon.recovered(back))
            writers.resume()
    assert "Traceback" not in daemon.said, daemon.tail()
    daemon.end()
    daemon.environ["SESSIOND_DATABASE_URL"] = direct
    daemon.check_clean()
    words = f"before and after the server did it, {writers.saves:,} saves"
    return Figure("reset in mid-commit", words, times, 0, longest)
