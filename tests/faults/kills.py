"""kill -9 of the daemon: at random moments while agents write, and at every named step of a sync."""

import shutil
import time
from collections.abc import Callable

from sessionlib.state.manager import StateManager
from tests import builders
from tests.faults.failpoints import EARLY, NEEDS_NEW, NEEDS_NEW_ROOT, NEEDS_REMOVAL, STEPS
from tests.faults.ground import RECOVERY, Figure, Ground, Keeper, until
from tests.faults.writers import Writers

_SESSIONS = 20
_CONFIRMED = 5.5
"""Seconds that go by before a folder is believed to be gone, a little more than two looks are apart."""


def random_kills(ground: Ground, kind: str, kills: int) -> Figure:
    """Kill the daemon at random moments under four writers; each next start brings the mirror up to date."""
    root = ground.project(count=_SESSIONS)
    daemon = ground.keeper(ground.tools.new_database(kind))
    daemon.start(ready=False)
    with Writers(root, ground.chance, _SESSIONS) as writers:
        longest = kill_at_random(daemon, writers, kills, daemon.recovered)
    assert "Traceback" not in daemon.log, daemon.tail()
    daemon.check_clean()
    return Figure("kill -9", f"{kind}, four writers, {writers.saves:,} saves", kills, 0, longest)


def kill_at_random(daemon: Keeper, writers: Writers, kills: int, recovered: Callable[[], float]) -> float:
    """Kill a running daemon at random moments; after each kill wait until the next start has mended it all.

    Args:
        daemon: Whom; it runs afterwards.
        writers: Those who write all the while; paused for each look.
        kills: How often.
        recovered: Waits until all is as it must be; returns the seconds since the start.

    Returns:
        The longest of these.
    """
    chance, longest = daemon.ground.chance, 0.0
    for _ in range(kills):
        # Some in the middle of a start, most while it follows the writers.
        if chance.random() < 0.3:
            daemon.end()
            daemon.start(ready=False)
            time.sleep(chance.uniform(0.0, 0.15))
        else:
            time.sleep(chance.uniform(0.0, 0.8))
        daemon.kill()
        writers.pause()
        daemon.start(ready=False)
        longest = max(longest, recovered())
        writers.resume()
    return longest


def kills_at_steps(ground: Ground, kind: str, steps: list[str], rounds: int) -> Figure:
    """Let the daemon kill itself before or after each of these steps; each next start must mend it all.

    The steps that only a removal brings about are always among them.
    """
    root = ground.project(count=_SESSIONS)
    doomed = [
        builders.make_session(root, f"doomed-{number}") for number in range(rounds * len(NEEDS_REMOVAL))
    ]
    daemon = ground.keeper(ground.tools.new_database(kind), config="[watch]\nreconcile_interval = 2.0\n")
    daemon.start()
    daemon.recovered()
    daemon.end()
    longest, steps = 0.0, sorted({*steps, *NEEDS_REMOVAL})
    for number in range(rounds):
        ground.chance.shuffle(steps)
        for step in steps:
            # A folder that is gone is believed to be so after a second look.
            confirmed = _CONFIRMED if step in NEEDS_REMOVAL else 0.0
            if confirmed:
                shutil.rmtree(doomed.pop())
            _die_at(ground, daemon, step, number)
            daemon.start(ready=False)
            longest = max(longest, daemon.recovered(within=RECOVERY + confirmed) - confirmed)
            daemon.end()
    daemon.check_clean()
    words = f"{kind}, before or after {len(steps)} steps"
    return Figure("kill -9 at steps", words, rounds * len(steps), 0, longest)


def _die_at(ground: Ground, daemon: Keeper, step: str, number: int) -> None:
    """Start the daemon, and let it come to a step that is its last."""
    when = ground.chance.choice(["before", "after"])
    nth = 1 if step in EARLY else ground.chance.randint(1, 3)
    _prepare(ground, step, f"{number}-{STEPS[step].rpartition('.')[2].strip('_')}")
    daemon.start(ready=False, failpoint=(step, when, nth))
    _provoke(daemon, f"{when} {step} {nth}, round {number}")


def _prepare(ground: Ground, step: str, mark: str) -> None:
    """Change files, so that the step has something to do when the daemon starts."""
    root = ground.code / "shop" / "agents" / "sessions"
    for number in ground.chance.sample(range(_SESSIONS), k=4):
        document = builders.v2_building(
            total=6, completed=range(1, ground.chance.randrange(2, 6)), topic=mark
        )
        builders.make_session(root, f"s{number}", document)
    # From sixteen on, new ones are drafted before the lock is taken.
    for number in range(17 if step in NEEDS_NEW else 1):
        builders.make_session(root, f"n{mark}-{number}", builders.v2_building(topic=mark))
    if step in NEEDS_NEW_ROOT:
        builders.make_project(ground.code / f"project-{mark}", ["one"])


def _provoke(daemon: Keeper, words: str) -> None:
    """Save sessions until the daemon has come to the step."""
    assert daemon.child is not None
    child, count = daemon.child, 0

    def dead() -> bool:
        nonlocal count
        if child.poll() is not None:
            return True
        count += 1
        if count % 10 == 0:
            session = daemon.ground.code / "shop" / "agents" / "sessions" / f"s{count // 10 % _SESSIONS}"
            StateManager(session).set_details(topic=f"{words} {count}")
        return False

    until(dead, f"the end of the daemon {words}", 20.0, daemon.tail)
    assert child.poll() == -9, (words, daemon.tail())
    daemon.child = None
