"""Several that write the same mirror: daemons of two hosts, and programs and commands beside a daemon."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests import builders
from tests.faults import oracle, savers
from tests.faults.ground import Figure, Ground, Keeper, until
from tests.faults.writers import Writers
from tests.writes import watched

_SESSIONS = 12
_HOSTS = {name: str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in ("anvil", "bellows")}
_REMOTE = "git@forge.example:team/shop.git"
_CONFIG = "[watch]\nreconcile_interval = 2.0\n"
_STILL = 5.0
"""Seconds; longer than two comparisons: whoever undid what another one did would do so again by then."""
_SAVERS = 4


def two_hosts(ground: Ground, seconds: float) -> Figure:
    """Let two hosts mirror one tree into one PostgreSQL under four writers: they converge and are still."""
    url = ground.tools.new_database("postgres")
    # By its remote it is the same project on both.
    builders.make_git_repo(ground.code / "shop", _REMOTE)
    root = ground.project(count=_SESSIONS)
    daemons = [
        ground.keeper(url, name, _CONFIG, environ={"SESSIOND_HOST_ID": _HOSTS[name]}) for name in _HOSTS
    ]
    for one in daemons:
        one.start()
    with Writers(root, ground.chance, _SESSIONS, pause=0.01) as writers:
        time.sleep(seconds)
        writers.pause()
        since = time.monotonic()
        took = max(one.recovered(since) for one in daemons)
    projects = oracle.Mirror(url).rows("SELECT count(*) AS found FROM projects")[0]["found"]
    assert projects == 1, projects
    time.sleep(1.0)
    before = oracle.Mirror(url).digest()
    time.sleep(_STILL)
    for one in daemons:
        one.end()
    for one in daemons:
        assert "Traceback" not in one.log, one.tail()
        one.check_clean()
    # Not by the daemons, and not by the passes of either host.
    after = oracle.Mirror(url).digest()
    assert after == before, [name for name in after if after[name] != before[name]]
    _no_deadlock(url, daemons)
    return Figure("two hosts", f"one database, one tree, {writers.saves:,} saves", 1, 0, took)


def beside_a_daemon(ground: Ground, kind: str, times: int) -> Figure:
    """Run ``sessionctl sync``, which has a queue of its own, beside a daemon and four writers."""
    root = ground.project(count=_SESSIONS)
    daemon = ground.keeper(ground.tools.new_database(kind))
    daemon.start()
    with Writers(root, ground.chance, _SESSIONS, pause=0.01) as writers:
        for _ in range(times):
            daemon.ctl("sync", str(ground.code))
        writers.pause()
        took = daemon.recovered(time.monotonic())
    assert "Traceback" not in daemon.log, daemon.tail()
    assert "event=sync.gave_up " not in daemon.log, daemon.tail()
    daemon.check_clean()
    _no_deadlock(daemon.url, [daemon])
    return Figure("commands beside daemon", f"{kind}, {writers.saves:,} saves", times, 0, took)


def queues_beside_a_daemon(ground: Ground, kind: str, saves: int) -> Figure:
    """Let programs save that mirror by queues of their own beside a daemon: they converge and are still.

    Args:
        ground: Where.
        kind: Of database.
        saves: Of each of four programs.
    """
    root = ground.project(count=_SESSIONS)
    daemon = ground.keeper(ground.tools.new_database(kind), config=_CONFIG)
    daemon.start()
    with ExitStack() as stack:
        programs = [stack.enter_context(_saver(daemon, root, number, saves)) for number in range(_SAVERS)]
        for one in programs:
            one.settled(saves)
        took = daemon.recovered(time.monotonic())
        until(lambda: not _held(daemon), "the daemon's queue to be empty", 10.0, daemon.tail)
        # The queues of the programs are open still.
        _nothing_written(daemon)
        for one in programs:
            one.end()
    assert "Traceback" not in daemon.log, daemon.tail()
    assert "event=sync.gave_up " not in daemon.log, daemon.tail()
    daemon.check_clean()
    _no_deadlock(daemon.url, [daemon])
    written = sum(one.told["written"] for one in programs)
    words = f"{kind}, {_SAVERS} programs, {_SAVERS * saves:,} saves, {written:,} mirrored by them"
    return Figure("queues beside daemon", words, _SAVERS, 0, took)


class _Saver:
    """One program that saves beside a daemon.

    Attributes:
        told: What it said of its queue, once it has settled.

    Args:
        process: The program, see `savers`.
        said: Where it says so.
        complained: Where it complains.
    """

    def __init__(self, process: subprocess.Popen[bytes], said: Path, complained: Path) -> None:
        self.told: dict[str, int] = {}
        self._process = process
        self._said = said
        self._complained = complained

    def settled(self, saves: int) -> None:
        """Wait until all that it has saved is mirrored, by it or somebody else."""
        # A tenth of a second for a save is much even where four wait for each other.
        seconds = 10.0 + 0.1 * saves * _SAVERS + savers.PATIENCE
        until(self._said.read_text, "a program to settle", seconds, self._complained.read_text)
        self.told = json.loads(self._said.read_text())
        assert (self.told["left"], self.told["failed"], self.told["owed"]) == (0, 0, 0), self.told
        assert self.told["compared"], self.told

    def end(self) -> None:
        """Let it end; it must not have complained of anything."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(30) == 0, self._complained.read_text()
        assert not self._complained.read_text(), self._complained.read_text()


@contextmanager
def _saver(daemon: Keeper, root: Path, number: int, saves: int) -> Iterator[_Saver]:
    """Start a program in the daemon's environment; it is killed at the end of the block, if it still runs."""
    said, complained = (daemon.ground.home / f"saver-{number}.{name}" for name in ("out", "err"))
    seed = daemon.ground.chance.randrange(2**32)
    command = [sys.executable, "-m", "tests.faults.savers", str(root), str(saves), str(seed)]
    with (
        said.open("wb") as out,
        complained.open("wb") as err,
        subprocess.Popen(
            command,
            env=daemon.environ,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            cwd=Path(__file__).parents[2],
        ) as process,
    ):
        try:
            yield _Saver(process, said, complained)
        finally:
            process.kill()


def _held(daemon: Keeper) -> int:
    """Return how many folders its queue holds in any way."""
    queue = daemon.client.status().queue
    return queue.waiting + queue.running + queue.delayed + queue.owed


def _nothing_written(daemon: Keeper) -> None:
    """Nobody writes a row for some seconds; heartbeats of the daemon are none."""
    with watched(daemon.url) as writes:
        for _ in range(int(_STILL)):
            time.sleep(1.0)
            assert not (rows := writes.taken()), (rows, daemon.tail())


def _no_deadlock(url: str, daemons: list[Keeper]) -> None:
    """Nobody has had one; PostgreSQL has counted them by the time that all have gone."""
    for one in daemons:
        assert "deadlock" not in one.log, one.tail()
    if not url.startswith("sqlite"):
        counted = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert oracle.Mirror(url).rows(counted) == [{"deadlocks": 0}], daemons[0].tail()
