"""The daemon that reads journals is killed, its database gone, its spool full: each event is stored once."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from sessionlib.hooks import entry
from sessionlib.journal import canary
from tests.faults.clients import LONG, Clients, Desk, turn
from tests.faults.failpoints import NEEDS_PURGE, NEEDS_SESSION
from tests.faults.ground import RECOVERY, Figure, Ground, until
from tests.faults.kills import kill_at_random
from tests.faults.machine import tmpfs
from tests.faults.outages import FREED, Asker
from tests.faults.refusals import fill
from tests.load import busy
from tests.proxies import Proxy
from tests.talks import Talk

_QUICK = 0.05
"""Seconds that a hook may take on a machine with a free core; its p95."""
_RESPONSES = 400
"""Of a conversation that is counted anew in several transactions."""


# --- the daemon is killed ------------------------------------------------------------------------------


def random_kills(ground: Ground, kind: str, kills: int) -> Figure:
    """Kill the daemon at random moments under clients; each next start brings all of it into the database."""
    desk = Desk(ground, ground.tools.new_database(kind))
    desk.daemon.start(ready=False)
    with Clients(desk, pause=0.02) as clients:
        longest = kill_at_random(desk.daemon, clients, kills, desk.recovered)
    desk.check_clean()
    words = f"{kind}, {clients.saves:,} turns of clients, {len(desk.hooks.times):,} hooks"
    return Figure("journals: kill -9", words, kills, 0, longest)


def kills_at_steps(ground: Ground, kind: str, steps: list[str], rounds: int) -> Figure:
    """Let the daemon kill itself before or after each of these steps; each next start stores what is left."""
    desk = Desk(ground, ground.tools.new_database(kind))
    talk = desk.talk(LONG)
    for number in range(_RESPONSES):
        talk.says(1 + number % 7)
    desk.move()
    doomed = [desk.talk(f"conversation-doomed-{number}").says(1) for number in range(2 * rounds)]
    desk.daemon.start()
    desk.recovered()
    desk.daemon.end()
    steps, longest, done = list(steps), 0.0, 0
    for number in range(rounds):
        ground.chance.shuffle(steps)
        for step in steps:
            if step in NEEDS_PURGE:
                doomed.pop().path.unlink()
            if step in NEEDS_SESSION:
                desk.move()
            done += 1
            _die_at(desk, talk, step, f"{number}-{done}")
            desk.daemon.start(ready=False)
            longest = max(longest, desk.recovered())
            desk.daemon.end()
    desk.check_clean()
    return Figure(
        "journals: kill -9 at steps", f"{kind}, before or after {len(steps)} steps", done, 0, longest
    )


def _die_at(desk: Desk, talk: Talk, step: str, mark: str) -> None:
    """Start the daemon, and give it to do until it comes to a step that is its last."""
    chance = desk.ground.chance
    when = chance.choice(["before", "after"])
    is_sliced = step == "a slice of a recount"
    nth = 1 if step in NEEDS_PURGE | NEEDS_SESSION and not is_sliced else chance.randint(1, 3)
    turn(talk, desk.hooks, f"{mark}-0", chance)
    desk.daemon.start(ready=False, failpoint=(step, when, nth))
    child, count = desk.daemon.child, 0
    assert child is not None

    def dead() -> bool:
        nonlocal count
        if child.poll() is not None:
            return True
        count += 1
        if count % 20 == 0:
            turn(talk, desk.hooks, f"{mark}-{count}", chance)
        if step in NEEDS_SESSION and count % 200 == 0:
            desk.move()
        return False

    words = f"{when} {step} {nth}, {mark}"
    until(dead, f"the end of the daemon {words}", 20.0, desk.daemon.tail)
    assert child.poll() == -signal.SIGKILL, (words, desk.daemon.tail())
    desk.daemon.child = None


# --- the database is gone ------------------------------------------------------------------------------


def stopped(ground: Ground, seconds: float) -> Figure:
    """Stop PostgreSQL for a while: hooks and clients notice nothing, and all is stored when it is back."""
    server = ground.tools.own_server()
    desk = Desk(ground, server.url("mirror"))
    return _outage(desk, "PostgreSQL stopped", lambda: server.stop(signal.SIGQUIT), server.start, seconds)


def hung(ground: Ground, proxy: Proxy, seconds: float) -> Figure:
    """Let PostgreSQL accept everything and answer nothing for a while, likewise."""
    direct = ground.tools.new_database("postgres")
    desk = Desk(ground, proxy.url(direct))
    desk.daemon.url = direct
    return _outage(
        desk, "PostgreSQL hung", lambda: proxy.set("blackhole"), lambda: proxy.set("pass"), seconds
    )


def database_full(ground: Ground, seconds: float) -> Figure:
    """Fill the disk that SQLite's file lies on for a while, likewise."""
    with tmpfs(ground.home / "small", "12m") as folder:
        desk = Desk(ground, f"sqlite:///{folder}/mirror.db")
        ballast = folder / "ballast"
        return _outage(desk, "SQLite: disk full", lambda: fill(ballast), ballast.unlink, seconds)


def _outage(
    desk: Desk,
    name: str,
    begin: Callable[[], object],
    end: Callable[[], object],
    seconds: float,
) -> Figure:
    """Take the database away under clients, and give it back."""
    daemon, hooks = desk.daemon, desk.hooks
    daemon.start()
    with Clients(desk, pause=0.1 if seconds < 60 else 0.5) as clients:
        until(lambda: len(hooks.times) >= 20, "hooks at ease", 60.0)
        usual, so_far = hooks.p95(), len(hooks.times)
        with Asker(daemon):
            begin()
            until(lambda: "event=tracking.waiting " in daemon.said, name, FREED, daemon.tail)
            time.sleep(seconds)
            tracking = daemon.client.status().tracking
            assert tracking is not None
            assert tracking.spooled
            assert tracking.error
            waited = len(hooks.names())
            meanwhile = hooks.p95(so_far)
            end()
            back = time.monotonic()
            clients.pause()
            took = desk.recovered(back)
    # That all is stored shows before the turn in which it was is over, and told.
    until(lambda: "event=tracking.recovered " in daemon.said, "it to be told", FREED, daemon.tail)
    assert meanwhile < max(_QUICK, 2 * usual) * busy(), (usual, meanwhile)
    events = {
        name: daemon.said.count(f"event=tracking.{name} ") for name in ("waiting", "recovered", "failed")
    }
    assert events["waiting"] == events["recovered"] <= 1, events
    assert not events["failed"], daemon.tail()
    desk.check_clean()
    times = f"p95 of hooks {usual * 1000:.0f} ms before, {meanwhile * 1000:.0f} ms meanwhile"
    words = f"{seconds:.0f} s, {waited} deliveries waited; {times}"
    return Figure(f"journals: {name}", words, 1, 0, took)


# --- the spool is full ---------------------------------------------------------------------------------


def spool_full(ground: Ground, most: int) -> Figure:
    """Fill the spool to its limits while the daemon is held: hooks say nothing, and what is lost is counted.

    Args:
        ground: The ground.
        most: How many deliveries the daemon has to read when it goes on; others are taken away before.
    """
    desk = Desk(ground, ground.tools.new_database("sqlite"))
    daemon, hooks, talk = desk.daemon, desk.hooks, desk.talk("conversation-0")
    daemon.start()
    for number in range(3):
        turn(talk, hooks, number, ground.chance)
    desk.recovered(time.monotonic())
    assert daemon.child is not None
    daemon.child.send_signal(signal.SIGSTOP)
    large = talk.payload("PostToolUse", tool_use_id="large", tool_response="x" * entry.LARGE)
    small = talk.payload("PreToolUse", tool_use_id="lost")
    fillers = _Fillers(hooks.spool / "new")
    fillers.fill(entry.MOST_FILES)
    whole = set(hooks.names())
    for body in (large, *[small] * 5):
        hooks.run(body, is_kept=False)
    headers = [name for name in hooks.names() if name not in whole]
    assert len(headers) == 6
    assert all((hooks.spool / "new" / name).read_bytes().endswith(b"\n\n") for name in headers)
    fillers.fill(2 * entry.MOST_FILES)
    for body in (large, *[small] * 5):
        hooks.run(body, is_kept=False)
    lost = (hooks.spool / "dropped").stat().st_size
    assert lost == 6
    talk.says(1, id="msg-while-full")
    fillers.leave(most)
    daemon.child.send_signal(signal.SIGCONT)
    back = time.monotonic()
    took = desk.recovered(back)
    # The first hook after it is heard in full again.
    until(lambda: not (hooks.spool / "full").exists(), "the mark to go", RECOVERY, daemon.tail, back)
    turn(talk, hooks, "after", ground.chance)
    hooks.run(talk.payload("PreToolUse", tool_use_id="after"))
    desk.recovered(time.monotonic())
    tracking = daemon.client.status().tracking
    assert tracking is not None
    assert (tracking.dropped, tracking.buried) == (lost + len(headers), 0), (tracking, daemon.tail())
    assert not (hooks.spool / "dead").exists()
    desk.check_clean()
    words = f"{2 * entry.MOST_FILES:,} files; of hooks {len(headers)} left headers, {lost} nothing, counted"
    return Figure("journals: spool full", words, 1, 0, took)


class _Fillers:
    """Deliveries about nobody, by which a spool is filled.

    Args:
        inbox: The spool's folder.
    """

    def __init__(self, inbox: Path) -> None:
        self._made: list[str] = []
        at, body = time.time_ns(), canary.song(canary.hatch(), "/")
        self._content = (
            f"client: claude-code\nevent: {canary.EVENT}\nat: {at}\nsize: {len(body)}\n\n".encode() + body
        )
        self._name = f"{inbox}/{at:020d}.1.{{:08x}},S={len(self._content)}"
        self._inbox = inbox
        self._first = ""

    def fill(self, count: int) -> None:
        """Let so many files stand in the spool."""
        for _ in range(count - len(list(self._inbox.iterdir()))):
            made = self._name.format(len(self._made))
            # Of one file there may be 65,000 names.
            if len(self._made) % 30_000 == 0:
                Path(made).write_bytes(self._content)
                self._first = made
            else:
                os.link(self._first, made)
            self._made.append(made)

    def leave(self, count: int) -> None:
        """Take away all but so many."""
        for made in self._made[count:]:
            Path(made).unlink()


def spool_disk_full(ground: Ground) -> Figure:
    """Fill the disk that the spool lies on: hooks say nothing and leave no half files; transcripts go on."""
    with tmpfs(ground.home / "state" / "spool", "1m") as spool:
        desk = Desk(ground, ground.tools.new_database("sqlite"))
        daemon, hooks, talk = desk.daemon, desk.hooks, desk.talk("conversation-0")
        daemon.start()
        turn(talk, hooks, "before", ground.chance)
        desk.recovered(time.monotonic())
        ballast = spool / "ballast"
        fill(ballast)
        os.truncate(ballast, ballast.stat().st_size - 8192)
        for number in range(10):
            # Larger than what is left: a part of it can be written.
            body = talk.payload("PreToolUse", tool_use_id=f"lost-{number}", tool_input="x" * 20_000)
            hooks.run(body, is_kept=False)
            talk.says(number, id=f"msg-full-{number}")
        assert not hooks.names()
        assert not list((spool / "tmp").iterdir())
        desk.recovered(time.monotonic())
        ballast.unlink()
        back = time.monotonic()
        turn(talk, hooks, "after", ground.chance)
        took = desk.recovered(back)
        desk.check_clean()
    return Figure("journals: spool's disk full", "10 hooks of which nothing could be kept", 1, 0, took)
