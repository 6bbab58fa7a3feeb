"""A long day: one daemon under work, restarted, reloaded, its log rotated; it needs no more at the end."""

import os
import shutil
import signal
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests import builders
from tests.faults.clients import Clients, Desk
from tests.faults.ground import Figure, Ground, Keeper, until
from tests.faults.writers import Writers

_SESSIONS = 20
_LIVES = 3
_LEAST, _EVERY = 3, 30.0
"""Looks at what the daemon needs in each of its lives; in a long one, seconds between two of them."""
_WARM = 0.75
"""The part of a life in which what is kept of the last changes fills (some 5 MB at 10,000 of them); memory is
judged by what follows, in a life of five minutes."""
_JUDGED = 300.0
_DESCRIPTORS = 2
_GROWTH_MB = 1.0
"""What memory may grow by in the rest of a life: a leak of 100 bytes a save is more in half an hour."""


class Need(NamedTuple):
    """What a daemon needs while nobody writes.

    Attributes:
        at: When, in seconds of the monotonic clock.
        memory: Of its own, in MB.
        descriptors: Open ones.
        watches: That the kernel holds for it below its watched folders.
        folders: That there are to be watched.
    """

    at: float
    memory: float
    descriptors: int
    watches: int
    folders: int


def soak(ground: Ground, kind: str, seconds: float) -> Figure:
    """Let agents and clients work for so long; in each third the daemon's needs stay as they are."""
    desk = Desk(ground, ground.tools.new_database(kind))
    daemon = desk.daemon
    config = Path(daemon.environ["SESSIOND_CONFIG"])
    config.write_text(f'{config.read_text()}[log]\nfile = "{daemon.log_path}"\n')
    grown: list[float] = []
    turns = max(_LEAST, round(seconds / _LIVES / _EVERY))
    rotations = 0
    writers = Writers(desk.root, ground.chance, _SESSIONS, pause=0.1)
    clients = Clients(desk, pause=0.5)
    for number in range(_SESSIONS):
        builders.make_session(desk.root, f"s{number}", builders.v2_building(session_id=f"s{number}"))
    with writers, clients:
        for life in range(_LIVES):
            daemon.start()
            needs = []
            for turn in range(turns):
                time.sleep(seconds / _LIVES / turns)
                _replace_folders(desk.root, life * turns + turn)
                if turn % 4 == 1:
                    _rotate(daemon, rotations)
                    rotations += 1
                writers.pause()
                clients.pause()
                daemon.recovered(time.monotonic())
                desk.recovered(time.monotonic())
                needs.append(_need(daemon, desk.root))
                if turn == turns // 2:
                    daemon.ctl("verify", str(ground.code))
                writers.resume()
                clients.resume()
            grown.append(_growth(needs))
            assert daemon.end() == 0
    if seconds / _LIVES >= _JUDGED:
        assert max(grown) < _GROWTH_MB, grown
    daemon.start()
    daemon.recovered()
    desk.recovered()
    desk.check_clean()
    memory = " ".join(f"{one:+.1f}" for one in grown)
    words = (
        f"{kind}, {seconds / 60:.1f} min, {writers.saves:,} saves, {clients.saves:,} turns of clients, "
        f"{_LIVES} starts, {rotations} reloads and rotations, memory {memory} MB"
    )
    return Figure("soak", words, 1)


def _replace_folders(root: Path, turn: int) -> None:
    """Let two sessions come, and those go that came before."""
    for number in range(2):
        builders.make_session(root, f"turn-{turn}-{number}", builders.v2_building())
        old = root / f"turn-{turn - 1}-{number}"
        if old.exists():
            shutil.rmtree(old)


def _rotate(daemon: Keeper, number: int) -> None:
    """Move the log away, as logrotate does, and ask for a reload; both are taken up."""
    daemon.log_path.rename(daemon.log_path.with_suffix(f".{number}"))
    assert daemon.child is not None
    daemon.child.send_signal(signal.SIGHUP)
    until(lambda: daemon.log_path.exists() and "event=config.reload" in daemon.log, "a reload", 10.0)


def _need(daemon: Keeper, root: Path) -> Need:
    status = daemon.client.status()
    proc = Path("/proc") / str(status.pid)
    pages = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    watched = (proc / "fdinfo" / str(status.watch_descriptor)).read_text().count("inotify wd:")
    assert watched == status.watches
    return Need(
        time.monotonic(),
        int(pages["RssAnon"].split()[0]) / 1024,
        sum(1 for _ in (proc / "fd").iterdir()),
        watched,
        sum(1 for folder, _, _ in os.walk(root)),
    )


def _growth(needs: list[Need]) -> float:
    """Return by how many MB memory has grown since it was warm; descriptors and watches are as they were."""
    counts = [one.descriptors for one in needs]
    usual = statistics.median(counts)
    assert all(abs(count - usual) <= _DESCRIPTORS for count in counts), counts
    beside = {one.watches - one.folders for one in needs}
    assert len(beside) == 1, [(one.watches, one.folders) for one in needs]
    print("memory, MB:", *(f"{one.memory:.1f}" for one in needs), file=sys.stderr, flush=True)  # noqa: T201
    warm = needs[int(len(needs) * _WARM) :]
    slope = statistics.linear_regression([one.at for one in warm], [one.memory for one in warm]).slope
    return slope * (warm[-1].at - warm[0].at)
