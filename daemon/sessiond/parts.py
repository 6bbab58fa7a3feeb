"""The wired parts of a running daemon: watcher → debouncer → queue, the rounds beside them, and the feed.

The parts know nothing of each other; every line between two of them is drawn here.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from sessiond.agenda import EVERYTHING
from sessiond.board import Board, Limits
from sessiond.canary import Canary
from sessiond.changes import Changes
from sessiond.channel import Channel
from sessiond.debounce import Debouncer
from sessiond.discovery import Discovery
from sessiond.feed import Change, Feed
from sessiond.hints import Hint, ProjectsTouched, RootTouched, SessionTouched
from sessiond.logs import event
from sessiond.progress import Progress
from sessiond.rescans import Rescans, RootCounts
from sessiond.rounds import Rounds, Steps
from sessiond.shortage import Shortage
from sessiond.targets import Target, roots_of
from sessiond.tracking import make_tracker
from sessiond.upgrades import Upgrades
from sessiond.watch.watcher import Watcher
from sessionlib.config import Config
from sessionlib.control.status import TrackingState
from sessionlib.db import pictures
from sessionlib.db.crud import hosts, projects
from sessionlib.errors import DatabaseError, SessionlibError
from sessionlib.models.base import utc_now
from sessionlib.runtime import Runtime
from sessionlib.sync.mirror import Outcome, Result
from sessionlib.sync.picture import Picture, key_of
from sessionlib.sync.places import Place, stored_name
from sessionlib.sync.reconcile import Report

_LOG = logging.getLogger("sessiond")

_UNSETTLED = ("owed", "refused")
_UNSETTLED_FOR = timedelta(minutes=10)
"""Longer than anything takes that follows a session's sync."""


class Parts:
    """Owns the parts; `start` and `stop` are called once each, the rest from any thread.

    Args:
        config: The settings in force; `config.watch.roots` are watched.
        runtime: Open, its queue not started.
        feed: Gets the changes.
        others: Tell how the parts get on that are not among these.
    """

    def __init__(
        self, config: Config, runtime: Runtime, feed: Feed, *, others: Sequence[Callable[[], Progress]] = ()
    ) -> None:
        self.config = config
        self.runtime = runtime
        self._more = others
        self._names: dict[UUID, str] = {}
        watch = config.watch
        self._database_file: tuple[int, int] | None = None
        runtime.queue.listen(on_recover=self._recovered, on_results=self._synced)
        quiet, longest = watch.quiet, watch.longest_delay
        self.debouncer = Debouncer[Path](runtime.queue.submit, quiet=quiet, longest=longest)
        shortage = Shortage()
        self.watcher = Watcher(
            self._hear,
            options=runtime.finder,
            poll_interval=watch.poll_interval,
            force_polling=watch.force_polling,
            shortage=shortage,
        )
        self.canary = Canary(self.watcher, config.state_dir)
        self._discovery = Discovery(
            runtime.registrar, self.watcher, runtime.finder, lambda: self.config.watch.roots
        )
        self.rounds = Rounds(self._steps(), interval=watch.reconcile_interval)
        self.rescans = Rescans(
            self.rounds,
            resolve=self._resolve,
            count=self._count,
            paused=lambda: self.runtime.queue.stats().paused or self.rounds.no_database,
        )
        self.channel = Channel(
            runtime.database,
            host_id=runtime.host.host_id,
            on_rescan=self.rescan,
            on_changes=self._relay,
            on_reconnect=self._reconnected,
            host_name=runtime.host.name,
            pgbouncer=config.database.pgbouncer,
        )
        self.changes = Changes(
            runtime.database,
            feed,
            host_id=runtime.host.host_id,
            started_at=utc_now(),
            announce=self.channel.announce,
        )
        self.upgrades = Upgrades(runtime)
        self.tracker = make_tracker(config, runtime, shortage, self.upgrades.refuse, self._settled_before)
        self.board = Board(
            runtime.queue,
            self.rounds,
            self.watcher,
            held_since=self.debouncer.held_since,
            others=self._others,
            limits=Limits(config.daemon.stale_after, config.daemon.stuck_after),
        )

    def _steps(self) -> Steps:
        return Steps(
            discover=self._discover,
            picture=self.runtime.picture,
            reconcile=self._reconcile,
            compared=self._compared,
            revive=self.runtime.revive,
            vouch=self._vouch,
            settled=self._settled,
            clean=self._clean,
        )

    # --- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Watch first, then look: nothing that is written in between can be missed."""
        self.board.vouched = self._last_vouched()
        self._database_file = self.runtime.database.identity()
        self.changes.start()
        self.runtime.queue.start()
        self.channel.start()
        self.rescans.start()
        self.watcher.start()
        for root in self.config.watch.roots:
            self.watcher.add_root(root)
        with suppress(DatabaseError):  # if it is down by now, the first round does it
            self._discovery.watch_registered()
        self.rounds.start()
        if self.tracker is not None:
            self.tracker.start()

    def stop(self, deadline: float) -> int:
        """Stop listening, flush what was coalesced, drain the queue; return the folders left over.

        Every step has its share of `deadline` seconds, and none waits for another that hangs.
        """
        ends = time.monotonic() + deadline

        def share(most: float) -> float:
            return max(0.0, min(most, ends - time.monotonic()))

        self.rescans.stop(timeout=share(1.0))
        self.watcher.stop(timeout=share(5.0))
        self.debouncer.stop(flush=True)
        self.rounds.stop(timeout=share(2.0))
        if self.tracker is not None:
            self.tracker.stop(timeout=share(3.0))
        left = self.runtime.drain(share(deadline))
        self.changes.stop(timeout=share(1.0))
        self.channel.stop(timeout=share(1.0))
        self.runtime.database.close()
        return left

    def _others(self) -> list[Progress]:
        mine = [self.debouncer.progress(), self.changes.progress(), self.channel.progress()]
        if self.tracker is not None:
            mine.append(self.tracker.progress())
        return mine + [progress() for progress in self._more]

    def _reconnected(self) -> None:
        """Make up for notifications that came while nobody listened."""
        self.rounds.request(EVERYTHING, "listener back")
        self.changes.catch_up()

    def _relay(self, changes: list[Change]) -> None:
        self.changes.relay(changes)

    # --- what others ask -----------------------------------------------------------------------

    def rescan(self, target: Target) -> None:
        """Ask for a comparison that nobody waits for; what is wrong with it is logged."""
        self.rescans.request(target)

    def name_of(self, project_id: UUID) -> str | None:
        """Return a project's name as it was last looked up; None before."""
        return self._names.get(project_id)

    def tracking(self) -> TrackingState | None:
        """Return how reading the agents' journals gets on; None when none are read."""
        return None if self.tracker is None else self.tracker.status()

    def change(self, config: Config) -> None:
        """Work with other settings; watch the roots that are new, and no longer those that went."""
        before, self.config = self.config.watch.roots, config
        if self.tracker is not None:
            self.tracker.change(config)
        roots = config.watch.roots
        if roots == before:
            return
        for root in before:
            if root not in roots:
                self.watcher.remove(root)
        # A project registered by hand below a root that went is watched for itself again.
        self._discovery.forget()
        for root in roots:
            if root not in before:
                self.watcher.add_root(root)
        # Last: the round must see the new roots, and finds what was written until they were watched.
        self.rounds.request(EVERYTHING, "reload")

    # --- from the watcher ----------------------------------------------------------------------

    def _hear(self, hint: Hint) -> None:
        """Take a hint from the watcher; only queues."""
        if self.canary.hears(hint):
            return
        if isinstance(hint, SessionTouched):
            self.debouncer.touch(hint.session_dir)
        elif isinstance(hint, RootTouched):
            if hint.reason in {"vanished", "replaced", "moved"}:
                self.runtime.registrar.forget(hint.sessions_root)
            lost = hint.reason in {"overflow", "error"}
            self.rounds.request(EVERYTHING if lost else hint.sessions_root, hint.reason)
        elif isinstance(hint, ProjectsTouched):
            self.runtime.registrar.forget()
            self.rounds.request(EVERYTHING, hint.reason)

    # --- from the rounds -----------------------------------------------------------------------

    def _discover(self) -> list[Path]:
        self.upgrades.look()
        found = self._discovery.find()
        self._learn_names()
        return found

    def _learn_names(self) -> None:
        with self.runtime.database.read() as connection:
            self._names = projects.slugs(connection)

    def _reconcile(
        self,
        path: Path,
        accept_missing: bool,  # noqa: FBT001 - of Steps
        picture: Picture | None,
    ) -> Report:
        self.upgrades.refuse()
        began = time.monotonic()
        report = self.runtime.reconcile(path, accept_missing=accept_missing, picture=picture)
        if report.complete:
            root = report.place.path
            self._forgive(lambda owed: self._real(owed.parent) == root, began)
        return report

    def _forgive(self, is_meant: Callable[[Path], bool], began: float) -> None:
        """Owe no longer what a comparison that began then found gone, or mirrored by another path."""
        queue = self.runtime.queue
        queue.forgive([path for path in queue.owed if is_meant(path)], before=began)

    def _real(self, sessions_path: Path) -> Path:
        """Return a sessions root as it is compared: events come by the path that is watched."""
        place = self.runtime.registrar.known(sessions_path)
        return sessions_path if place is None else place.path

    def _compared(self, report: Report) -> None:
        # Also when nothing differed: what another process committed may have rung no bell here.
        self.changes.reconciled(report.place)

    def _clean(self) -> None:
        """Tell the watcher that whatever events were lost has been made good."""
        # What is owed and was not found anew lies in no sessions root any more.
        self._forgive(lambda _: True, self.rounds.clean_since or 0.0)
        degraded = [entry for entry in self.watcher.status() if entry.degraded]
        for entry in degraded:
            self.watcher.mark_clean(entry.path)
        if degraded:
            # What another process wrote meanwhile rang no bell here, and left nothing to mend.
            self.changes.catch_up()

    def _settled(self) -> bool:
        stats = self.runtime.queue.stats()
        return stats.paused is None and stats.oldest is None

    def _vouch(self) -> None:
        self.runtime.vouch()
        self.board.vouched = utc_now()

    def _last_vouched(self) -> datetime | None:
        with suppress(SessionlibError), self.runtime.database.read() as connection:
            return hosts.last_beats(connection).get(self.runtime.host.host_id)
        return None

    # --- from the queue ------------------------------------------------------------------------

    def look_after_database(self) -> None:
        """Have everything compared anew if the database's file was deleted or replaced; one look at it."""
        identity = self.runtime.database.identity()
        if identity != self._database_file:
            self._database_file = identity
            self.runtime.registrar.forget()
            self.rounds.request(EVERYTHING, "database replaced")
            if self.tracker is not None:
                self.tracker.database_replaced()

    def _recovered(self) -> None:
        self.runtime.registrar.forget()
        if self.tracker is not None:
            self.tracker.database_replaced()
        self.rounds.request(EVERYTHING, "database back")

    def _synced(self, results: Sequence[tuple[Path, Result]], live: bool) -> None:  # noqa: FBT001
        level = logging.INFO if live else logging.DEBUG
        for path, result in results:
            if result.outcome is Outcome.ABSENT:
                self.rounds.request(path.parent, "absent")
            elif result.outcome is Outcome.INVALID:
                event(
                    _LOG,
                    logging.WARNING,
                    "session.unreadable",
                    "kept the last good row",
                    path=stored_name(str(path)),
                    error=result.error,
                )
            elif result.outcome is Outcome.WRITTEN and _LOG.isEnabledFor(level):
                event(_LOG, level, "session.synced", "mirrored", path=stored_name(str(path)))
        # All lie in one root, see the queue.
        place = self.runtime.registrar.known(results[0][0].parent)
        if place is not None:
            self.changes.touched(place, *(path.name for path, _ in results))
            self._count_anew(place, results)

    def _count_anew(self, place: Place, results: Sequence[tuple[Path, Result]]) -> None:
        """Let the tracker know which sessions say something else of what agents did."""
        written = [path.name for path, result in results if result.outcome is Outcome.WRITTEN]
        if self.tracker is not None and written:
            self.tracker.sessions_changed(place.project_id, [place.session_id(slug) for slug in written])

    def _settled_before(self) -> datetime | None:
        """Return until when what agents did was counted to the right sessions; None on a new host."""
        beat = self._last_vouched()
        return None if beat is None else beat - _UNSETTLED_FOR

    # --- rescans -------------------------------------------------------------------------------

    def _resolve(self, target: Target) -> list[Path]:
        if target.path is None and target.project is None:
            return self._discover()
        return roots_of(self.runtime, self.config.watch.roots, target)

    def _count(self, reports: list[Report]) -> list[RootCounts]:
        if any(report.place.project_id not in self._names for report in reports):
            self._learn_names()
        keys = [key_of(report.place) for report in reports]
        with self.runtime.database.read() as connection:
            unreadable = pictures.unreadable(connection, keys)
        return [
            _counts(report, self.name_of(key.project_id), unreadable.get(key, 0))
            for report, key in zip(reports, keys, strict=True)
        ]


def _counts(report: Report, project: str | None, unreadable: int) -> RootCounts:
    outcomes = report.ticket.counts
    written = outcomes.get(Outcome.WRITTEN, 0)
    left = sum(outcomes.get(outcome, 0) for outcome in _UNSETTLED)
    return RootCounts(
        project=project,
        path=stored_name(str(report.place.path)),
        sessions=report.total,
        written=written,
        unchanged=max(0, report.total - written - unreadable - left),
        absent=report.absent,
        tombstoned=report.tombstoned,
        held=report.held,
        unreadable=unreadable,
        left=left,
        missing=report.missing,
        problems=report.problems,
    )
