"""A dead link: PostgreSQL in a network namespace, from which nothing comes, not even an acknowledgement.

The namespace has no name and ends with the process that holds it, and with it both ends of the link: nothing
is left over, however the test ends. The server listens on the link's address alone, inside the namespace.
"""

import ctypes
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import psycopg
import pytest

from tests import builders, postgres
from tests.faults.ground import SESSIONS, Figure, Ground, Keeper, until
from tests.faults.machine import need
from tests.faults.outages import FREED, Asker, check_lines, freed
from tests.faults.writers import Writers

_NEW_NETWORK = 0x40000000
_NOBODY = "02:00:00:00:00:01"
"""A hardware address that neither end has."""
_SESSIONS = 20


class Link(NamedTuple):
    """Two ends of a wire, and the server at the far one.

    Attributes:
        server: It is reached from here by the Unix socket too, which knows no network.
        near: The name of this end.
        far: The name of the other end, in its namespace.
        holder: The process whose namespace it is.
        address: The far end's.
        near_address: This end's.
    """

    server: postgres.PostgresServer
    near: str
    far: str
    holder: int
    address: str
    near_address: str

    def url(self, database: str) -> str:
        """Return the URL of a database over the link."""
        return f"postgresql://postgres@{self.address}:{self.server.port}/{database}"

    def far_end_down(self) -> Callable[[], None]:
        """Take the far end down: a cable that was pulled. Returns what mends it."""
        self._there("ip", "link", "set", self.far, "down")
        return lambda: self._there("ip", "link", "set", self.far, "up")

    def lost(self) -> Callable[[], None]:
        """Lose every frame both ways while both ends look well. Returns what mends it.

        Not by a queue that is full: the kernel knows of those, and does not count them as unanswered.
        """
        near = ("ip", "neigh", "replace", self.address, "lladdr", _NOBODY, "dev", self.near)
        far = ("ip", "neigh", "replace", self.near_address, "lladdr", _NOBODY, "dev", self.far)
        _run(*near)
        self._there(*far)

        def mend() -> None:
            _run("ip", "neigh", "del", self.address, "dev", self.near)
            self._there("ip", "neigh", "del", self.near_address, "dev", self.far)

        return mend

    def _there(self, *command: str) -> None:
        _run("nsenter", "-t", str(self.holder), "-n", *command)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"not permitted here: {' '.join(command[:6])}: {done.stderr.strip()}")


@contextmanager
def linked(ground: Ground) -> Iterator[Link]:
    """Give a link with a server behind it until the end of the block; skip where that is not allowed."""
    for program in ("unshare", "nsenter", "ip"):
        need(program)
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root may make a network namespace")
    binaries = postgres.find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server binaries")
    with ExitStack() as stack:
        # It ends when its standard input does, at the latest with this process.
        holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE)
        stack.callback(holder.wait, 10)
        assert holder.stdin is not None
        stack.callback(holder.stdin.close)
        own = Path("/proc/self/ns/net").readlink()
        until(lambda: _network(holder) != own, "a network namespace", 5.0)
        # Addresses that are kept for measurements: nobody's.
        net = f"198.18.{random.SystemRandom().randrange(256)}.{4 * random.SystemRandom().randrange(64)}"
        near, far = (str(_plus(net, number)) for number in (1, 2))
        mark = f"{os.getpid() % 10**6}{ground.seed % 10**4}"
        link = Link(
            postgres.PostgresServer(binaries, address=far), f"sn{mark}", f"sf{mark}", holder.pid, far, near
        )
        stack.callback(link.server.remove)
        _run(
            "ip", "link", "add", link.near, "type", "veth", "peer", "name", link.far, "netns", str(holder.pid)
        )
        stack.callback(subprocess.run, ["ip", "link", "del", link.near], capture_output=True, check=False)
        _run("ip", "addr", "add", f"{near}/30", "dev", link.near)
        _run("ip", "link", "set", link.near, "up")
        link._there("ip", "link", "set", "lo", "up")
        link._there("ip", "addr", "add", f"{far}/30", "dev", link.far)
        link._there("ip", "link", "set", link.far, "up")
        hba = link.server.home / "data" / "pg_hba.conf"
        hba.write_text(f"host all all {near}/32 trust\n" + hba.read_text())
        _inside(holder.pid, link.server.start)
        postgres.execute(link.server, "CREATE DATABASE mirror")
        yield link


def _network(holder: subprocess.Popen[bytes]) -> Path:
    if holder.poll() is not None:
        pytest.skip("not permitted here: unshare --net")
    return Path(f"/proc/{holder.pid}/ns/net").readlink()


def _plus(net: str, number: int) -> str:
    start, _, last = net.rpartition(".")
    return f"{start}.{int(last) + number}"


def _inside(holder: int, action: Callable[[], None]) -> None:
    """Do something in the namespace of a process; a thread that ends goes there, nobody else does."""
    failed: list[BaseException] = []

    def go() -> None:
        try:
            with Path(f"/proc/{holder}/ns/net").open("rb") as namespace:
                refused = ctypes.CDLL(None).setns(namespace.fileno(), _NEW_NETWORK)
            assert not refused, "setns"
            action()
        except BaseException as error:  # noqa: BLE001 - raised again, where somebody waits
            failed.append(error)

    thread = Thread(target=go)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


WAYS: dict[str, Callable[[Link], Callable[[], None]]] = {
    "far end down": Link.far_end_down,
    "frames lost": Link.lost,
}


def dead(ground: Ground, way: str, moment: str, seconds: float) -> Figure:
    """Let the link die at a moment; the status is answered all the while, and all is there afterwards.

    Args:
        ground: Where.
        way: One of `WAYS`.
        moment: One of `MOMENTS`.
        seconds: How long it lasts once the daemon has noticed.
    """
    with linked(ground) as link, ExitStack() as stack:
        ground.project(count=_SESSIONS)
        daemon = ground.keeper(link.url("mirror"))
        # Before the server and the link: then it has nothing to wait for.
        stack.callback(daemon.kill)
        daemon.url = link.server.url("mirror")
        daemon.start()
        daemon.recovered()
        mended: list[Callable[[], None]] = []
        with Asker(daemon):
            after = MOMENTS[moment](daemon, link, lambda: mended.append(WAYS[way](link)))
            assert not daemon.client.status().database.up
            time.sleep(seconds)
            assert daemon.drift()
            mended[0]()
            took = daemon.recovered(time.monotonic())
        until(lambda: daemon.client.status().database.up, "the status to agree", 10.0, daemon.tail)
        check_lines(daemon, 1, seconds, FREED)
        daemon.check_clean()
    words = f"{way}, {moment}, {seconds:.0f} s more, all workers freed after {after:.1f} s"
    return Figure("dead link", words, 1, 0, took)


def _busy(daemon: Keeper, _: Link, cut: Callable[[], None]) -> float:
    """Cut it under writers."""
    root = daemon.ground.code / "shop" / SESSIONS
    with Writers(root, daemon.ground.chance, _SESSIONS, pause=0.02):
        time.sleep(1.0)
        cut()
        return freed(daemon)


def _idle(daemon: Keeper, _: Link, cut: Callable[[], None]) -> float:
    """Cut it while nothing is done; the next save finds it."""
    cut()
    time.sleep(1.0)
    _save(daemon, "after it was cut")
    return freed(daemon)


def _waiting(daemon: Keeper, link: Link, cut: Callable[[], None]) -> float:
    """Cut it while the server works at a statement that it has acknowledged: nothing of ours is under way."""
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'sessiond'"
    with psycopg.connect(link.server.conninfo("mirror")) as holder:
        holder.execute("LOCK TABLE session_files IN ACCESS EXCLUSIVE MODE")
        _save(daemon, "while it is locked")
        with psycopg.connect(link.server.conninfo("mirror"), autocommit=True) as looker:
            until(lambda: looker.execute(waits).fetchall(), "a statement that waits", 10.0, daemon.tail)
        cut()
        return freed(daemon)


MOMENTS: dict[str, Callable[[Keeper, Link, Callable[[], None]], float]] = {
    "under writers": _busy,
    "while idle": _idle,
    "while a statement waits": _waiting,
}


def _save(daemon: Keeper, topic: str) -> None:
    document = builders.v2_building(session_id="s0", topic=topic)
    builders.make_session(daemon.ground.code / "shop" / SESSIONS, "s0", document)
