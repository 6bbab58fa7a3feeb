"""A daemon with nothing to do: its processor time, memory, writes and wakeups, with a comparison among them.

Looked at once a second from outside; nothing asks the daemon meanwhile. A second in which it worked for more
than ten times the usual one belongs to a comparison. Its share of a core is that of a minute with one.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import corpus, daemon, usage
from benchmarks.cases import BenchmarkError, Figure, Options, Row
from tests import writes

NAME = "idle"
GOAL = "≤ 0.3 % of a core, ≤ 110 MB resident, no writes but the heartbeat"

_SHARE, _RESIDENT = 0.003, 110
_LEAST = 65
"""Seconds to look on at least."""
_LONGEST = 76
"""Seconds between two comparisons at most: the default interval and a quarter, and one more."""
_SECOND = 1.0
_TIMES, _WORTH = 10.0, 0.010
"""A second is part of a comparison from so many times the usual one, and so many seconds of work, on."""


def run(options: Options) -> Iterator[Row]:
    """Measure on each database, with all sessions in one project; another one has imported them."""
    for kind in options.databases:
        with tempfile.TemporaryDirectory() as folder, daemon.databases(kind) as (url, _):
            home = Path(folder)
            corpus.make_sessions(home / "code" / "project", options.sessions)
            with daemon.running(home / "code", url, home / "state") as process:
                process.settled()
            # Another one, as after a boot: for some minutes after an import each comparison reads again what
            # was imported, because a clock may be wrong, and a commit late.
            with daemon.running(home / "code", url, home / "state") as process:
                process.settled()
                time.sleep(0 if options.quick else 5)
                seen = _look_on(process, url, 2 if options.quick else None)
            figures, is_idle = _figures(seen)
            yield Row(
                f"idle, {kind}, {options.sessions:,} sessions",
                figures,
                reached=None if options.quick else is_idle,
            )


@dataclass
class _Seen:
    """What was seen: the use before and after, the work of each second in between, and what was written.

    `comparisons` are those that began or ended meanwhile, by what the daemon says of its roots.
    """

    before: usage.Usage
    after: usage.Usage
    seconds: float = 0.0
    work: list[float] = field(default_factory=list)
    written: int = 0
    beats: int = 0
    has_compared: bool = False


def _look_on(process: daemon.Daemon, url: str, seconds: int | None) -> _Seen:
    """Look on for so many seconds, or else until everything was compared once, and for a minute at least.

    Raises:
        BenchmarkError: Nothing was compared.
    """
    compared_before = _compared_at(process)
    with writes.watched(url) as written:
        began, busy = time.monotonic(), usage.busy(process.pid)
        before = usage.used(process.pid)
        seen = _Seen(before, before)
        while not _is_enough(seen, seconds):
            time.sleep(max(0.0, began + (len(seen.work) + 1) * _SECOND - time.monotonic()))
            now = usage.busy(process.pid)
            seen.work.append(now - busy)
            busy = now
            if url.startswith("sqlite"):  # which cannot tell later what was committed now
                seen.written += written.taken()
        seen.after = usage.used(process.pid)
        seen.seconds = time.monotonic() - began
        seen.written += written.taken()
        seen.beats = written.beats
    seen.has_compared = _compared_at(process) > compared_before
    if seconds is None and not seen.has_compared:
        raise BenchmarkError(f"nothing was compared within {seen.seconds:.0f} s")
    return seen


def _is_enough(seen: _Seen, seconds: int | None) -> bool:
    count = len(seen.work)
    if seconds is not None:
        return count >= seconds
    return count >= _LONGEST or (
        count >= _LEAST and any(_comparing(seen.work)) and not _comparing(seen.work)[-1]
    )


def _comparing(work: Sequence[float]) -> list[bool]:
    """Tell of each second whether it belongs to a comparison."""
    usual = statistics.median(work)
    return [one > max(_WORTH, _TIMES * usual) for one in work]


def _compared_at(process: daemon.Daemon) -> str:
    status = process.settled()
    return max(workspace.reconciled_at for workspace in status.workspaces)


def _figures(seen: _Seen) -> tuple[dict[str, Figure], bool]:
    """Return the figures of a row, and whether they are within the goal."""
    flags = _comparing(seen.work)
    comparing = [work for work, flag in zip(seen.work, flags, strict=True) if flag]
    quiet = [work for work, flag in zip(seen.work, flags, strict=True) if not flag]
    count = sum(flag and not before for before, flag in zip([False, *flags], flags, strict=False))
    between = statistics.fmean(quiet) if quiet else 0.0
    each = (sum(comparing) - between * len(comparing)) / count if count else 0.0
    share = between + each / 60
    figures: dict[str, Figure] = {
        "of a core %": share * 100,
        "between comparisons %": between * 100,
        "a comparison's CPU ms": each * 1000,
        "looked on s": seen.seconds,
        "resident MB": seen.after.resident,
        "peak MB": seen.after.peak,
        "wakeups /s": (seen.after.wakeups - seen.before.wakeups) / seen.seconds,
        "bytes written": seen.after.written - seen.before.written,
        "heartbeats": seen.beats,
        "rows written": seen.written,
    }
    return figures, share <= _SHARE and seen.after.resident <= _RESIDENT and not seen.written
