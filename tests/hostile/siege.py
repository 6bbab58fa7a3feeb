"""A siege of one listener of a control server: is it as quick and as small afterwards as before?"""

import gc
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from sessiond import heap
from sessionlib.db.engine import Database
from tests.hostile import memory
from tests.hostile.attack import SLOWER_MOST, Attack, besieged, descriptors, quickness, settled

MOST_GROWTH = 100 << 20
"""Bytes that the process may be larger at its peak, and a quarter of them at the end."""

_FIRST = 100
"""Frames after which whatever is imported and cached at the first request of each kind is there."""

_WORKERS = 4
"""Threads of the control server that ask the database."""

_PORTION = 500
"""Frames between two looks at the memory."""


@dataclass
class Report:
    """What a siege has found.

    Attributes:
        thrown: Frames.
        failures: What went wrong, with the seed and the number of the frame it went wrong with.
        defects: What the server logged that no request may make it log.
        others: What was wrong afterwards.
        growth: Bytes of memory the process took more at its peak than after the first frames.
        kept: Bytes it takes more at the end, when what is free has been given back.
        before: Seconds a status took before.
        after: Seconds it took afterwards.
    """

    thrown: int = 0
    failures: list[str] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    growth: int = 0
    kept: int = 0
    before: float = 0.0
    after: float = 0.0

    @property
    def wrong(self) -> int:
        """How many things went wrong."""
        return len(self.failures) + len(self.defects) + len(self.others)

    def words(self) -> str:
        """Say what was found."""
        counts = f"{self.thrown:,} frames: {len(self.failures)} failed, {len(self.defects)} defects"
        grown = f"memory +{self.growth / 2**20:.0f} MiB at its peak, +{self.kept / 2**20:.0f} MiB at the end"
        quick = f"a status in {self.before * 1000:.1f} ms before, {self.after * 1000:.1f} ms after"
        wrong = (*self.others, *self.failures, *self.defects)
        return "\n".join([f"{counts}; {grown}; {quick}", *(one[:2_000] for one in wrong)])


def run(
    database: Database,
    seed: int,
    numbers: range,
    *,
    over_tcp: bool,
    until: Callable[[], bool] = lambda: False,
    tell: Callable[[Report], None] = lambda _: None,
) -> Report:
    """Throw frames at one listener of a server over a database.

    Args:
        database: With sessions in its mirror, so that questions have answers.
        seed: The same seed draws the same frames.
        numbers: Of the frames.
        over_tcp: To the loopback port instead of the Unix socket.
        until: Tells that no more are to be thrown.
        tell: Told how far it is, now and then.
    """
    report = Report()
    with besieged(database) as (home, defects):
        attack = Attack(home, seed, over_tcp=over_tcp)
        report.thrown = attack.run(numbers[:_FIRST], until)
        with ExitStack() as stack:
            # As many connections as the server's threads can ever hold at once: the pool keeps them.
            for _ in range(_WORKERS):
                stack.enter_context(database.read())
        report.before, open_before = quickness(home), descriptors()
        _tidy()
        size_before = memory.rss()
        memory.reset_peak()
        for start in range(_FIRST, len(numbers), _PORTION):
            report.thrown += attack.run(numbers[start : start + _PORTION], until)
            report.failures, report.defects = attack.failures, defects.lines
            report.growth = memory.peak() - size_before
            tell(report)
        if not settled(lambda: descriptors() <= open_before + 2):
            report.others.append(f"{descriptors()} files are open, {open_before} were before")
        limit = SLOWER_MOST * report.before + 0.05
        if not settled(lambda: quickness(home) <= limit):
            report.others.append("a status takes too long")
        report.after = quickness(home)
        report.growth = memory.peak() - size_before
        _tidy()
        report.kept = memory.rss() - size_before
        if max(report.growth, 4 * report.kept) > MOST_GROWTH:
            report.others.append("it has grown too much")
        if home.server.ping() is None:
            report.others.append("it does not answer any more")
    report.failures, report.defects = attack.failures, defects.lines
    return report


def _tidy() -> None:
    gc.collect()
    heap.trim()
