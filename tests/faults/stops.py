"""SIGTERM at random moments with a deadline of two seconds, also with a database that hangs."""

import time

from tests.faults.ground import Figure, Ground, Keeper
from tests.faults.writers import Writers
from tests.load import busy
from tests.proxies import Proxy

DEADLINE = 2.0
_SESSIONS = 20
_CONFIG = f"[daemon]\ndrain_deadline = {DEADLINE}\n"


def random_stops(ground: Ground, kind: str, stops: int, proxy: Proxy | None = None) -> Figure:
    """Stop the daemon at random moments under four writers; it leaves in time with 0, and nothing is lost.

    After each the next start brings the mirror up to date; that daemon is stopped at rest.

    Args:
        ground: Where.
        kind: Of database.
        stops: How often.
        proxy: Before PostgreSQL; every third time it hangs first.
    """
    root = ground.project(count=_SESSIONS)
    direct = ground.tools.new_database(kind)
    daemon = ground.keeper(direct if proxy is None else proxy.url(direct), config=_CONFIG)
    daemon.url = direct
    slowest = longest = 0.0
    with Writers(root, ground.chance, _SESSIONS) as writers:
        for number in range(stops):
            _start(daemon)
            time.sleep(ground.chance.uniform(0.0, 0.8))
            if hung := proxy is not None and number % 3 == 1:
                _hang(proxy, ground.chance.uniform(0.0, 0.4))
            slowest = max(slowest, _stop(daemon))
            if hung and proxy is not None:
                proxy.set("pass")
            writers.pause()
            _start(daemon)
            longest = max(longest, daemon.recovered())
            _stop(daemon)
            writers.resume()
    daemon.check_clean()
    words = f"{kind}, at random, deadline {DEADLINE:.0f} s, slowest {slowest:.1f} s"
    return Figure("SIGTERM", words if proxy is None else f"{words}, a third hung", stops, 0, longest)


def _start(daemon: Keeper) -> None:
    daemon.start(ready=False)
    # The handlers are there before anything is said; before them the process may die of the signal.
    daemon.wait_for("event=sessiond.starting ")


def _stop(daemon: Keeper) -> float:
    """Stop it; return the seconds that took."""
    began = time.monotonic()
    code = daemon.end()
    took = time.monotonic() - began
    assert code == 0, (code, daemon.tail())
    assert took < DEADLINE + 1.0 + _late(), (took, daemon.said)
    assert "Traceback" not in daemon.said, daemon.said
    return took


def _hang(proxy: Proxy, seconds: float) -> None:
    proxy.set("blackhole")
    time.sleep(seconds)


def _late() -> float:
    """Return the seconds that a busy machine adds to what is promised."""
    return 0.7 * busy()
