"""One snapshot in the Prometheus text format. Imported at the first scrape only."""

import math
from collections.abc import Iterator, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from sessionlib.control.status import Status

_QUEUE_GAUGES = {
    "waiting": "Session folders that wait to be mirrored.",
    "running": "Session folders that are being mirrored.",
    "delayed": "Session folders that wait for another try.",
    "owed": "Session folders whose tries are used up.",
    "behind": "Owed session folders that can be read: for them the mirror does not equal the files.",
}
_QUEUE_COUNTERS = {
    "synced": "Session folders that were looked at by the queue.",
    "written": "Session folders that were written to the database.",
    "failed": "Tries to mirror a session folder that failed.",
    "retried": "Session folders that were tried again.",
}

Labelled = Sequence[tuple[tuple[str, ...], float]]


def render(status: Status) -> tuple[bytes, str]:
    """Return the exposition and its content type."""
    return generate_latest(_Snapshot(status)), CONTENT_TYPE_LATEST


class _Snapshot(Collector):
    """A collector of one snapshot; nothing is counted beside what the daemon counts itself."""

    def __init__(self, status: Status) -> None:
        self._status = status

    @override
    def collect(self) -> Iterator[Metric]:
        yield from self._freshness()
        yield from self._queue()
        yield from self._unreadable()
        yield from self._tracking()
        yield from self._places()
        yield from self._process()

    def _freshness(self) -> Iterator[Metric]:
        status = self._status
        age = math.inf if status.age_s is None else status.age_s
        yield _gauge("as_of_age_seconds", "Age of the mirror; infinite while it is unknown.", age)
        yield _gauge("stale", "1 when the mirror must not be trusted to be fresh.", status.stale)
        oldest = status.oldest_unsynced_s or 0.0
        yield _gauge("oldest_unsynced_seconds", "How long the oldest known change has been waiting.", oldest)
        yield _counter("overflows", "How often file events were lost.", status.overflows)
        yield _counter("events", "File events read; our own reading and writing raises none.", status.events)
        yield _counter("hints", "Folders that file events, or looks, said to look at.", status.hints)

    def _queue(self) -> Iterator[Metric]:
        queue = self._status.queue
        for name, says in _QUEUE_GAUGES.items():
            yield _gauge(f"queue_{name}", says, getattr(queue, name))
        for name, says in _QUEUE_COUNTERS.items():
            yield _counter(name, says, getattr(queue, name))

    def _unreadable(self) -> Iterator[Metric]:
        if self._status.unreadable is not None:
            says = "Sessions with a file that cannot be read; their last good rows are kept."
            yield _gauge("unreadable_sessions", says, self._status.unreadable)

    def _tracking(self) -> Iterator[Metric]:
        tracking = self._status.tracking
        if tracking is None:
            return
        yield _gauge("spool_waiting", "Deliveries of hooks that wait.", tracking.spooled)
        yield _counter("spool_dropped", "Deliveries lost because the spool was full.", tracking.dropped)
        yield _counter("spool_stored", "Deliveries of hooks that were stored.", tracking.stored)
        yield _counter("spool_buried", "Deliveries that could not be used.", tracking.buried)
        if tracking.dead is not None:
            yield _gauge("spool_dead", "Deliveries that were put aside and lie there now.", tracking.dead)
        yield _counter("transcript_lines", "Lines of transcripts that were read.", tracking.lines)
        if tracking.unlinked is not None:
            says = "Active conversations that work on no session that is known."
            yield _gauge("conversations_unlinked", says, tracking.unlinked)

    def _places(self) -> Iterator[Metric]:
        status = self._status
        yield _gauges(
            "root_watches",
            "Kernel watches below a watched folder, and how it is watched: events, polling or mixed.",
            ("root", "mode"),
            [((root.path, root.mode), root.watches) for root in status.roots],
        )
        yield _gauges(
            "root_folders",
            "Folders below a watched folder that should have a kernel watch, or are polled instead.",
            ("root",),
            [((root.path,), root.folders) for root in status.roots],
        )
        yield _gauge("watches", "Kernel watches that stand, all watched folders together.", status.watches)
        yield _gauges(
            "root_degraded",
            "1 while events of a watched folder may have been lost and not made good yet.",
            ("root",),
            [((root.path,), root.degraded) for root in status.roots],
        )
        yield _gauges(
            "workspace_reconcile_age_seconds",
            "Seconds since a sessions folder was last compared with the database.",
            ("project", "path"),
            [((place.project or "", place.path), place.age_s) for place in status.workspaces],
        )

    def _process(self) -> Iterator[Metric]:
        status = self._status
        yield _gauge("database_up", "1 while the database answers.", status.database.up)
        down = status.database.down_s or 0.0
        yield _gauge(
            "database_down_seconds", "How long the database has not answered; 0 while it does.", down
        )
        yield _gauges(
            "part_stuck",
            "1 when a part of the process has work and has made no progress for too long, or has ended.",
            ("part",),
            [((part.name,), part.stuck or not part.alive) for part in status.parts],
        )
        yield _counter("log_lines_lost", "Log lines that could not be written.", status.log_lost)
        yield _counter("changes", "Changes published on the change feed.", status.changes)
        yield _gauge("subscribers", "Listeners to the change feed.", status.subscribers)
        build = InfoMetricFamily("sessiond_build", "Which program this is.")
        build.add_metric([], {"version": _label(status.version)})
        yield build


def _gauge(name: str, says: str, value: float) -> Metric:
    return GaugeMetricFamily(f"sessiond_{name}", says, value=float(value))


def _counter(name: str, says: str, value: float) -> Metric:
    return CounterMetricFamily(f"sessiond_{name}", says, value=float(value))


def _gauges(name: str, says: str, labels: tuple[str, ...], values: Labelled) -> Metric:
    family = GaugeMetricFamily(f"sessiond_{name}", says, labels=labels)
    for named, value in values:
        family.add_metric([_label(text) for text in named], float(value))
    return family


def _label(text: str) -> str:
    """Return a text that can be written as UTF-8; a path need not be."""
    return text.encode(errors="backslashreplace").decode()
