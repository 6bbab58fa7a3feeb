"""Reconcile rounds: which sessions roots are compared with the database, and when.

One thread. A request names a root, or all of them, and a delay; requests for the same root coalesce. A timer
asks for everything now and then, because events only buy latency. What a person or a UI asks for goes first,
also between two roots of a round that is under way.
"""

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Condition, Thread
from typing import Protocol

from sessiond.agenda import EVERYTHING, Agenda, Lane, Plan
from sessiond.findings import Findings
from sessiond.imports import Imports
from sessiond.logs import event
from sessiond.progress import Progress
from sessionlib.errors import (
    DamagedValueError,
    DatabaseBusyError,
    DatabaseError,
    RowRejectedError,
    SessionlibError,
    StateNotFoundError,
    StoppingError,
    told,
)
from sessionlib.models.base import utc_now
from sessionlib.sync.absences import CONFIRM_AFTER
from sessionlib.sync.picture import Picture
from sessionlib.sync.reconcile import Report

_LOG = logging.getLogger("sessiond.rounds")

_ASKED = "asked"
_MARGIN = 0.2
_ACCEPTED_SECONDS = CONFIRM_AFTER.total_seconds() + _MARGIN
_CONFIRM_SPACING = 1.0
"""Seconds between two looks at a root that confirm what has gone from it, one thing after the other."""
_DATABASE_RETRY = 2.0
_DEFECT_RETRY = 30.0
_VOUCH_EVERY = 60.0
_AT_ONCE = 200
"""Sessions roots of which what is stored is read together; more would only hold more memory."""
_TEND = 1.0
"""Seconds between two looks at imports that are running."""


class Question(Protocol):
    """A comparison that somebody waits for; every method is called from the thread of the rounds."""

    @property
    def accept_missing(self) -> bool:
        """Whether a mass disappearance is to be believed."""
        ...

    def begin(self) -> Sequence[Path]:
        """Note that the comparison begins now; return the sessions roots to compare.

        Raises:
            SessionlibError: There are none, or the database does not answer.
        """
        ...

    def finish(self, reports: list[Report]) -> None:
        """Take the reports; what differed is queued, and their tickets count it."""
        ...

    def fail(self, error: SessionlibError) -> None:
        """Take the reason why nothing was compared, or not everything."""
        ...


@dataclass(frozen=True, slots=True)
class Steps:
    """What a round is made of; the service wires them.

    Attributes:
        discover: Finds the sessions roots below the watched folders and those known from before.
        picture: Reads what is stored of some sessions roots, which makes comparing them cheap.
        reconcile: Compares one sessions root, registering it if it is new, and queues what differs; the
            second argument tells whether to believe a mass disappearance, the third is what was stored of it
            a moment ago.
        compared: Told of every report.
        revive: Asks the database for a sign of life; makes its schema anew if somebody has deleted it, and
            tells whether that was so.
        vouch: Writes the heartbeat: the mirror is as fresh as the files that can be read.
        settled: Tells whether nothing is queued, running or paused.
        clean: Called after a round over everything in which all folders could be listed.
    """

    discover: Callable[[], list[Path]]
    picture: Callable[[Sequence[Path]], Picture]
    reconcile: Callable[[Path, bool, Picture | None], Report]
    compared: Callable[[Report], None]
    revive: Callable[[], bool]
    vouch: Callable[[], None]
    settled: Callable[[], bool]
    clean: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Compared:
    """When a sessions root was last compared (UTC, and monotonic seconds), and what was found."""

    at: datetime
    since: float
    report: Report


class Rounds:
    """The reconcile thread.

    Args:
        steps: What a round does.
        interval: Seconds between two rounds over everything, plus or minus a quarter; may be changed.
    """

    def __init__(self, steps: Steps, *, interval: float) -> None:
        self.interval = interval
        self._steps = steps
        self._agenda: Agenda[Question] = Agenda()
        self._changed = Condition()
        self._stopping = False
        self._imports = Imports()
        self._findings = Findings()
        self._full_round_clean = False
        self._vouched = float("-inf")
        self._compared: dict[Path, Compared] = {}
        self._running: Plan | None = None
        self._progressed: float | None = None
        self._thread = Thread(target=self._run, name="rounds", daemon=True)
        self._everything_compared = False
        self.first_round_over = False
        """Whether everything was compared once, and what differed then was mirrored."""
        self.clean_since: float | None = None
        """Monotonic time at which the last round began that saw everything."""
        self.no_database: str | None = None
        """Why the last comparison could not ask the database; None when it could."""

    def start(self) -> None:
        """Start the thread with a round over everything."""
        self.request(EVERYTHING, "start")
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Stop after the comparison at hand, or after so many seconds; questions that wait are refused."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def request(self, root: Path, reason: str) -> None:
        """Ask for a comparison of one sessions root (or EVERYTHING) as soon as possible; never blocks."""
        self._plan(root, Lane.SOON, reason, 0.0)

    def ask(self, question: Question) -> bool:
        """Ask for a comparison that somebody waits for; never blocks. False when the thread is stopping."""
        with self._changed:
            if not self._stopping:
                self._agenda.ask(question)
                self._changed.notify()
            return not self._stopping

    def compared(self) -> dict[Path, Compared]:
        """Return the last comparison of each sessions root since the start."""
        with self._changed:
            return dict(self._compared)

    def doubtful_since(self) -> float | None:
        """Return since when files have been in doubt, until what differed is mirrored; None without doubt."""
        with self._changed:
            plan = self._running
            doubts = [self._agenda.doubtful_since(), None if plan is None else plan.doubted]
        # Last: a comparison that ends in between has handed its files over by then.
        doubts.append(self._imports.doubtful_since())
        return min((since for since in doubts if since is not None), default=None)

    def progress(self) -> Progress:
        """Return how the thread gets on."""
        with self._changed:
            due = self._agenda.next_due()
            running = self._running
        now = time.monotonic()
        overdue = due if due is not None and due < now else None
        doing = None if running is None else f"comparing {_named(running.root)} ({running.reason})"
        held = running.due if running is not None else overdue
        return Progress("rounds", self._thread.is_alive(), self._progressed, held, doing)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    # --- the thread ----------------------------------------------------------------------------

    def _plan(self, root: Path, lane: Lane, reason: str, delay: float, *, since: float | None = None) -> None:
        now = time.monotonic()
        with self._changed:
            self._agenda.plan(Plan(root, lane, reason, now + delay, now if since is None else since))
            self._changed.notify()

    def _again(self, plan: Plan | None, delay: float) -> None:
        """Plan what could not be done once more; it has been in doubt since it was first asked for."""
        if plan is not None:
            lane = plan.lane if plan.lane is Lane.ACCEPTED else Lane.RETRY
            self._plan(plan.root, lane, plan.reason, delay, since=plan.doubted)

    def _plan_timer(self) -> None:
        jitter = random.uniform(0.75, 1.25)  # noqa: S311 - jitter, not a secret
        self._plan(EVERYTHING, Lane.TIMER, "timer", self.interval * jitter)

    def _run(self) -> None:
        self._plan_timer()
        while self._wait():
            self._answer_asked()
            with self._changed:
                self._running = plan = self._agenda.take_due(time.monotonic())
            try:
                if plan is not None:
                    self._round(plan)
                    # Done: what fails from here on is no reason to do it once more.
                    plan = None
                self._imports.follow()
                # An import's files are older than the moment at which they were found to differ.
                self.first_round_over = self.first_round_over or (
                    self._everything_compared and not self._imports
                )
                self._vouch()
            except DatabaseError as error:
                self._postponed(error, plan)
            except Exception:  # noqa: BLE001 - logged with its traceback; the thread must outlive it
                _LOG.exception("round failed", extra={"event": "reconcile.crashed"})
                self._again(plan, _DEFECT_RETRY)
            finally:
                self._running = None
                self._progressed = time.monotonic()
        with self._changed:
            unanswered = self._agenda.clear()
        for question in unanswered:
            question.fail(StoppingError())

    def _postponed(self, error: DatabaseError, plan: Plan | None) -> None:
        """Plan anew what the database kept from being done; say so once, for who else notices while idle."""
        is_down = plan is not None and not isinstance(error, DatabaseBusyError)
        level = logging.WARNING if is_down and self.no_database is None else logging.DEBUG
        event(_LOG, level, "reconcile.postponed", "no database, trying again", error=error.message)
        if is_down:
            self.no_database = told(error)
            self._revive()
        self._again(plan, _DATABASE_RETRY)

    def _revive(self) -> None:
        """Have everything compared anew if the database is there again without what it held."""
        with suppress(DatabaseError):
            if self._steps.revive():
                self.request(EVERYTHING, "database made anew")

    def _wait(self) -> bool:
        """Wait until something is to be done, if only to tend what is running; False to stop."""
        with self._changed:
            now = time.monotonic()
            due = self._agenda.next_due()
            wait = None if due is None else max(0.0, due - now)
            if self._imports or self._waits_to_vouch(now):
                wait = _TEND if wait is None else min(wait, _TEND)
            if not self._stopping and not self._agenda.is_asked and (wait is None or wait > 0):
                self._changed.wait(wait)
            return not self._stopping

    def _round(self, plan: Plan) -> None:
        if plan.root != EVERYTHING:
            believed = plan.lane is Lane.ACCEPTED
            self._compare(plan.root, plan.reason, accept_missing=believed, doubted=plan.doubted)
            return
        if plan.lane is Lane.TIMER:
            self._plan_timer()
        began = time.monotonic()
        clean = True
        for sessions_root, picture in self._pictured(self._steps.discover()):
            self._answer_asked()
            if self._stopping:
                return
            clean = self._is_clean(sessions_root, plan, picture) and clean
        with self._changed:
            # What this round has not come by is no sessions root any more.
            self._compared = {path: last for path, last in self._compared.items() if last.since >= began}
        self._full_round_clean = clean
        self._everything_compared = True
        if not clean:
            event(_LOG, logging.DEBUG, "reconcile.incomplete", "some folders could not be listed")
            return
        self.clean_since = began
        with self._changed:
            is_doubtful = self._agenda.has(EVERYTHING, Lane.SOON)
        if not is_doubtful:
            # Another round that was asked for meanwhile has a reason of its own, which is not mended yet.
            self._steps.clean()

    def _pictured(self, roots: Sequence[Path]) -> Iterator[tuple[Path, Picture | None]]:
        """Yield the roots with what is stored of many of them at once; one alone is not worth a picture."""
        for start in range(0, len(roots), _AT_ONCE):
            some = roots[start : start + _AT_ONCE]
            picture = self._steps.picture(some) if len(some) > 1 else None
            for root in some:
                yield root, picture

    def _is_clean(self, root: Path, plan: Plan, picture: Picture | None) -> bool:
        """Compare one root of a round; what is wrong with it must not keep the others back."""
        try:
            report = self._compare(root, plan.reason, doubted=plan.doubted, picture=picture)
        except DatabaseError as error:
            if not isinstance(error, RowRejectedError | DamagedValueError):
                raise
            problem: Exception = error
        except Exception as error:  # noqa: BLE001 - logged with its traceback
            problem = error
        else:
            return report is None or report.complete
        fields = {"root": str(root)}
        extra = {"event": "reconcile.crashed", "fields": fields}
        _LOG.error("a comparison failed", exc_info=problem, extra=extra)
        self._plan(root, Lane.RETRY, plan.reason, _DEFECT_RETRY, since=plan.doubted)
        return False

    def _answer_asked(self) -> None:
        while not self._stopping:
            with self._changed:
                question = self._agenda.take_asked()
            if question is None:
                return
            try:
                reports = [
                    self._compare(root, _ASKED, accept_missing=question.accept_missing, picture=picture)
                    for root, picture in self._pictured(question.begin())
                ]
            except SessionlibError as error:
                question.fail(error)
            except Exception as error:  # noqa: BLE001 - logged with its traceback; the thread must outlive it
                _LOG.exception("rescan failed", extra={"event": "reconcile.crashed"})
                question.fail(
                    SessionlibError(f"unexpected {type(error).__name__}; the daemon's log tells more")
                )
            else:
                question.finish([report for report in reports if report is not None])

    def _compare(
        self,
        root: Path,
        reason: str,
        *,
        accept_missing: bool = False,
        doubted: float | None = None,
        picture: Picture | None = None,
    ) -> Report | None:
        """Compare one root; None when it was never registered and is gone again."""
        try:
            report = self._steps.reconcile(root, accept_missing, picture)
        except StateNotFoundError:
            return None
        self.no_database = None
        self._progressed = now = time.monotonic()
        with self._changed:
            self._compared[report.place.path] = Compared(utc_now(), now, report)
        self._findings.tell(report, reason)
        if report.unconfirmed:
            # What was accepted when it was found absent is believed when it is confirmed, and nothing later.
            if accept_missing and reason == _ASKED:
                self._plan(root, Lane.ACCEPTED, Lane.ACCEPTED.value, _ACCEPTED_SECONDS)
            else:
                seconds = max(_CONFIRM_SPACING, report.confirm_in + _MARGIN)
                self._plan(root, Lane.CONFIRM, Lane.CONFIRM.value, seconds)
        self._imports.add(report, doubted)
        report.ticket.on_done(self._wake)
        self._steps.compared(report)
        return report

    def _waits_to_vouch(self, now: float) -> bool:
        return self._full_round_clean and now - self._vouched >= _VOUCH_EVERY

    def _vouch(self) -> None:
        """Write the heartbeat once a round over everything has been worked off; at most once a minute."""
        now = time.monotonic()
        if self._waits_to_vouch(now) and not self._imports and self._steps.settled():
            self._steps.vouch()
            self._vouched = now
            self._full_round_clean = False


def _named(root: Path) -> str:
    return "everything" if root == EVERYTHING else str(root)
