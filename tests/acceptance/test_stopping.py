"""The real daemon is told to stop at any moment: it leaves in time, with 0, and nothing is lost."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests import builders, postgres
from tests.acceptance.processes import Daemon, environment
from tests.load import busy
from tests.proxies import Proxy, proxied

pytestmark = [pytest.mark.timeout(300), pytest.mark.postgres]

Wait = Callable[..., None]
ROOT = "agents/sessions"
SESSIONS = 100
DEADLINE = 2.0
LATE = 0.7
"""Seconds that a busy machine may add to what is promised."""


def late() -> float:
    """Return what a stop may take beyond its deadline: more where many wait for each core of this machine."""
    return LATE * busy()


class World:
    """A project, its daemon, and a proxy in front of the database."""

    def __init__(self, home: Path, url: str, proxy: Proxy) -> None:
        self.proxy = proxy
        self.database = psycopg.connect(url, autocommit=True)
        self.root = builders.make_project(home / "code" / "shop") / ROOT
        self.topics: dict[str, str] = {}
        config = f"[daemon]\ndrain_deadline = {DEADLINE}\n[database]\nurl = '{proxy.url(url)}'\n"
        (home / "config.toml").write_text(config)
        environ = environment("", home / "state", SESSIOND_CONFIG=str(home / "config.toml"))
        self.daemon = Daemon([home / "code"], environ, home / "daemon.log")

    def write(self, text: str, count: int = SESSIONS) -> None:
        """Give the first so many sessions a new topic."""
        for number in range(count):
            slug = f"s{number}"
            builders.make_session(self.root, slug, builders.v2(topic=text))
            self.topics[slug] = text

    def mirrored(self) -> bool:
        """Tell whether the rows equal the files."""
        rows = self.database.execute("SELECT slug, topic FROM sessions").fetchall()
        return dict(rows) == self.topics

    def start(self, *, ready: bool = True) -> None:
        """Start the daemon."""
        self.log_from = len(self.daemon.log) if self.daemon.log_path.exists() else 0
        self.daemon.start(ready=False)
        if ready:
            self.wait_for("event=sessiond.ready ")

    def wait_for(self, text: str, seconds: float = 40.0) -> None:
        """Wait until a text stands in the log of this start."""
        deadline = time.monotonic() + seconds
        while text not in self.daemon.log[self.log_from :]:
            assert time.monotonic() < deadline, self.daemon.log[self.log_from :]
            time.sleep(0.005)

    def stop(self) -> tuple[int, float]:
        """Tell the daemon to stop; return its exit code and how many seconds it took."""
        began = time.monotonic()
        code = self.daemon.stop()
        return code, time.monotonic() - began


@pytest.fixture
def world(tmp_path: Path, postgres_server: postgres.Server, postgres_url: str) -> Iterator[World]:
    """A world whose daemon is ended whatever happens."""
    with proxied(postgres_server) as proxy:
        made = World(tmp_path, postgres_url, proxy)
        yield made
        made.daemon.stop(signal.SIGKILL)
        made.database.close()


def starting(world: World, chance: random.Random) -> float:
    """It has hardly begun, or is half through its start; before its first line nobody hears the signal."""
    world.start(ready=False)
    world.wait_for("event=sessiond.starting ")
    time.sleep(chance.uniform(0.0, 1.0))
    return DEADLINE


def idling(world: World, chance: random.Random) -> float:
    """It has nothing to do."""
    world.start()
    time.sleep(chance.uniform(0.0, 0.5))
    return 1.0


def writing(world: World, chance: random.Random) -> float:
    """Sessions change all the time."""
    world.start()
    world.write(f"while it writes {chance.random()}", count=chance.randrange(SESSIONS))
    return DEADLINE


def hanging(world: World, chance: random.Random) -> float:
    """PostgreSQL hangs while there is work."""
    world.start()
    time.sleep(chance.uniform(0.0, 0.6))
    world.proxy.set("blackhole")
    world.write(f"while it hangs {chance.random()}", count=20)
    time.sleep(chance.uniform(0.0, 0.6))
    return DEADLINE + 1.0


def opening(world: World, chance: random.Random) -> float:
    """PostgreSQL hangs from the start."""
    world.proxy.set("blackhole")
    world.start(ready=False)
    world.wait_for("event=control.listening ")
    time.sleep(chance.uniform(0.0, 0.6))
    return DEADLINE + 1.0


def breaking(world: World, chance: random.Random) -> float:
    """PostgreSQL hangs in the middle of the start."""
    world.start(ready=False)
    world.wait_for("event=control.listening ")
    time.sleep(chance.uniform(0.0, 0.3))
    world.proxy.set("blackhole")
    time.sleep(chance.uniform(0.0, 0.3))
    return DEADLINE + 1.0


MOMENTS = (starting, idling, writing, hanging, opening, breaking)


def test_at_any_moment_it_leaves_in_time_and_nothing_is_lost(world: World, wait_until: Wait) -> None:
    """Told at random moments it ends with 0 within the deadline and a second; the next start mirrors all."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown when it fails
    chance = random.Random(seed)
    moments = chance.sample(MOMENTS, k=len(MOMENTS))
    took: dict[str, float] = {}
    for number, moment in enumerate(moments):
        world.write(f"round {number}")
        most = moment(world, chance)
        code, seconds = world.stop()
        name = moment.__name__
        said = world.daemon.log[world.log_from :]
        assert code == 0, f"{name}: {said}"
        assert seconds < most + late(), f"{name}: {said}"
        assert "Traceback" not in said
        took[name] = max(seconds, took.get(name, 0.0))
        world.proxy.set("pass")
    print({name: round(seconds, 2) for name, seconds in took.items()})  # noqa: T201
    world.start()
    wait_until(world.mirrored, "everything to be mirrored", seconds=60)
    assert world.stop()[0] == 0


def test_each_next_start_mirrors_what_was_left(world: World, wait_until: Wait) -> None:
    """What a stop under a hung database leaves over is counted in the log and mirrored by the next start."""
    world.write("before")
    world.start()
    wait_until(world.mirrored, "the import", seconds=60)
    world.proxy.set("blackhole")
    world.write("left over", count=30)
    wait_until(lambda: world.daemon.client.status().queue.running, "work under way")
    code, seconds = world.stop()
    said = world.daemon.log[world.log_from :]
    assert code == 0
    assert seconds < DEADLINE + 1.0 + late()
    assert "the next start mirrors what is left" in said
    assert not world.mirrored()
    world.proxy.set("pass")
    world.start()
    wait_until(world.mirrored, "what was left over", seconds=60)


def test_a_second_term_leaves_at_once(world: World, wait_until: Wait) -> None:
    """While it drains into a database that hangs, another TERM ends it with 143; nothing is lost."""
    world.write("before")
    world.start()
    wait_until(world.mirrored, "the import", seconds=60)
    world.proxy.set("blackhole")
    world.write("after", count=10)
    wait_until(lambda: world.daemon.client.status().queue.running, "work under way")
    assert world.daemon.process is not None
    world.daemon.process.send_signal(signal.SIGTERM)
    world.wait_for("event=sessiond.stopping ")
    code, seconds = world.stop()
    assert code == 143
    assert seconds < 0.5 + late()
    world.proxy.set("pass")
    world.start()
    wait_until(world.mirrored, "everything to be mirrored", seconds=60)


def test_without_its_database_it_leaves_promptly(world: World, wait_until: Wait) -> None:
    """There is nothing to wait for while the database is down, whether it ever was up or not."""
    world.write("before")
    world.start()
    wait_until(world.mirrored, "the import", seconds=60)
    world.proxy.set("refuse")
    world.write("after", count=10)
    world.wait_for("event=db.down ")
    code, seconds = world.stop()
    assert code == 0
    assert seconds < 1.5 + late()
    world.start(ready=False)
    world.wait_for("event=db.down ")
    code, seconds = world.stop()
    assert code == 0
    assert seconds < 1.0 + late()
    world.proxy.set("pass")
    world.start()
    wait_until(world.mirrored, "everything to be mirrored", seconds=60)
