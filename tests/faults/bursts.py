"""More at once than the kernel keeps events for: all of it is mirrored within thirty seconds of its end."""

import os
import signal
import time
from pathlib import Path

from tests import builders
from tests.faults.ground import Figure, Ground
from tests.load import busy

WITHIN = 30.0


def burst(ground: Ground, kind: str, sessions: int) -> Figure:
    """Make very many sessions under a running daemon."""
    root = ground.project()
    daemon = ground.keeper(ground.tools.new_database(kind))
    daemon.start()
    for number in range(sessions):
        builders.make_session(root, f"s{number}", builders.v2_building(session_id=f"s{number}"))
    took = daemon.recovered(time.monotonic(), within=WITHIN * busy())
    daemon.check_clean()
    return Figure("burst", f"{kind}, {sessions:,} new sessions", sessions, 0, took)


def stopped_process(ground: Ground, kind: str, writes: int, folders: int) -> Figure:
    """Write very much while the daemon is held with SIGSTOP; the kernel's queue of events runs over."""
    root = ground.project(count=folders)
    daemon = ground.keeper(ground.tools.new_database(kind))
    daemon.start()
    daemon.recovered(within=WITHIN * busy())
    assert daemon.child is not None
    os.kill(daemon.child.pid, signal.SIGSTOP)
    for number in range(writes):
        slug = f"s{ground.chance.randrange(folders)}"
        builders.make_session(root, slug, builders.v2_building(session_id=slug, topic=f"write {number}"))
    os.kill(daemon.child.pid, signal.SIGCONT)
    took = daemon.recovered(time.monotonic(), within=WITHIN * busy())
    lost = daemon.said.count("event=watch.lost ")
    assert lost or writes < _kept(), daemon.tail()
    daemon.check_clean()
    words = f"{kind}, {writes:,} writes over {folders:,} folders, events lost: {'yes' if lost else 'no'}"
    return Figure("SIGSTOP", words, writes, 0, took)


def _kept() -> int:
    """Return how many events the kernel keeps for a process that does not read them."""
    return int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
