"""The service: owns the parts, and the order in which they start and stop."""

import logging
import os
import sys
import time
from pathlib import Path
from threading import Event

from tenacity import RetryCallState

from sessiond.debounce import Debouncer
from sessiond.hints import Hint, ProjectsTouched, RootTouched, SessionTouched
from sessiond.logs import event
from sessiond.rounds import EVERYTHING, Rounds, Steps
from sessiond.watch.watcher import Watcher
from sessionlib.config import Config
from sessionlib.errors import DatabaseError
from sessionlib.runtime import Runtime
from sessionlib.state.scan import find_roots
from sessionlib.sync.mirror import Outcome, Result
from sessionlib.sync.retry import RetryPolicy

_LOG = logging.getLogger("sessiond")

_REMINDER = 30.0
"""Seconds between two log lines about a database that is down."""


class Service:
    """One running daemon.

    Args:
        config: The settings; the roots to watch are `config.watch.roots`.
        stop: Set by a signal handler when the daemon is to stop.
    """

    def __init__(self, config: Config, stop: Event) -> None:
        self._config = config
        self._stop = stop
        self._complained = float("-inf")

    def run(self) -> int:
        """Run until `stop` is set, then drain within the deadline; return the number of folders left over.

        Raises:
            ConfigError: The configuration or the database's URL cannot be used.
            SchemaMismatchError: The database's schema is newer.
        """
        event(
            _LOG, logging.INFO, "sessiond.starting", "starting", pid=os.getpid(), config=self._config.source
        )
        runtime = self._open_runtime()
        if runtime is None:
            return 0
        parts = _Parts(self._config, runtime)
        parts.start()
        event(
            _LOG,
            logging.INFO,
            "sessiond.ready",
            "watching",
            roots=",".join(map(str, self._config.watch.roots)),
            database=runtime.database.name,
        )
        self._stop.wait()
        return parts.stop(self._config.daemon.drain_deadline)

    def _open_runtime(self) -> Runtime | None:
        """Open the database; wait for one that does not answer yet. None when asked to stop meanwhile."""
        policy = RetryPolicy(attempts=sys.maxsize, first=0.2, cap=5.0)
        retrying = policy.retrying(self._stop).copy(before_sleep=self._complain)
        try:
            return retrying(Runtime.open, self._config, start=False)
        except DatabaseError:
            if self._stop.is_set():
                return None
            raise

    def _complain(self, attempt: RetryCallState) -> None:
        """Say that the database is down, once and then every 30 s."""
        now = time.monotonic()
        if now - self._complained >= _REMINDER and attempt.outcome is not None:
            self._complained = now
            error = attempt.outcome.exception()
            event(_LOG, logging.ERROR, "db.down", "database down, waiting for it", error=str(error))


class _Parts:
    """The wired parts of a running daemon: watcher → debouncer → queue, and the rounds beside them."""

    def __init__(self, config: Config, runtime: Runtime) -> None:
        watch = config.watch
        self._config = config
        self._runtime = runtime
        runtime.queue.listen(on_recover=self._recovered, on_result=self._synced)
        self._debouncer: Debouncer[Path] = Debouncer(
            runtime.queue.submit, quiet=watch.quiet, longest=watch.longest_delay
        )
        self._watcher = Watcher(
            self._hear,
            options=runtime.finder,
            poll_interval=watch.poll_interval,
            force_polling=watch.force_polling,
        )
        self._rounds = Rounds(
            Steps(
                discover=self._discover,
                reconcile=runtime.reconcile,
                vouch=runtime.vouch,
                settled=self._settled,
                clean=self._clean,
                analyze=runtime.database.refresh_statistics,
            ),
            interval=watch.reconcile_interval,
        )
        self._watched_projects: set[Path] = set()
        self._told: set[str] = set()

    def start(self) -> None:
        """Watch first, then look: nothing that is written in between can be missed."""
        self._runtime.queue.start()
        self._watcher.start()
        for root in self._config.watch.roots:
            self._watcher.add_root(root)
        self._watch_registered()
        self._rounds.start()

    def stop(self, deadline: float) -> int:
        """Stop listening, flush what was coalesced, drain the queue; return the folders left over."""
        started = time.monotonic()
        event(_LOG, logging.INFO, "sessiond.stopping", "stopping", deadline_s=deadline)
        self._watcher.stop(timeout=min(5.0, deadline))
        self._debouncer.stop(flush=True)
        self._rounds.stop(timeout=min(2.0, deadline))
        left = self._runtime.close(max(0.0, deadline - (time.monotonic() - started)))
        event(
            _LOG,
            logging.WARNING if left else logging.INFO,
            "sessiond.stopped",
            "stopped; the next start mirrors what is left" if left else "stopped",
            left=left,
            for_s=round(time.monotonic() - started, 2),
        )
        return left

    def _hear(self, hint: Hint) -> None:
        """Take a hint from the watcher; only queues."""
        if isinstance(hint, SessionTouched):
            self._debouncer.touch(hint.session_dir)
        elif isinstance(hint, RootTouched):
            if hint.reason in {"vanished", "replaced", "moved"}:
                self._runtime.registrar.forget(hint.sessions_root)
            lost = hint.reason in {"overflow", "error"}
            self._rounds.request(EVERYTHING if lost else hint.sessions_root, hint.reason)
        elif isinstance(hint, ProjectsTouched):
            self._runtime.registrar.forget()
            self._rounds.request(EVERYTHING, hint.reason)

    def _discover(self) -> list[Path]:
        """Return every sessions root: those below the watched folders, and those known from before."""
        self._watch_registered()
        found: dict[Path, None] = {}
        for watched in self._config.watch.roots:
            discovery = find_roots(watched, self._runtime.finder)
            found.update((root.path, None) for root in discovery.roots)
            for problem in discovery.problems:
                level = logging.DEBUG if problem in self._told else logging.WARNING
                self._told.add(problem)
                event(_LOG, level, "discover.problem", problem, root=str(watched))
        # Registering first lets a project that moved take its row along before its old place is looked at.
        for path in found:
            self._runtime.registrar.place_of(path)
        real = {path.resolve() for path in found}
        known = [place.path for place in self._runtime.registrar.places() if place.path not in real]
        return [*found, *known]

    def _watch_registered(self) -> None:
        """Watch the projects that were registered outside the roots."""
        for path in self._runtime.registrar.registered_paths():
            inside = any(path.is_relative_to(root.resolve()) for root in self._config.watch.roots)
            if not inside and path not in self._watched_projects:
                self._watched_projects.add(path)
                self._watcher.add_project(path)

    def _clean(self) -> None:
        """Tell the watcher that whatever events were lost has been made good."""
        for entry in self._watcher.status():
            if entry.degraded:
                self._watcher.mark_clean(entry.path)

    def _settled(self) -> bool:
        stats = self._runtime.queue.stats()
        return stats.paused is None and not (stats.waiting or stats.running or stats.behind)

    def _recovered(self) -> None:
        self._runtime.registrar.forget()
        self._rounds.request(EVERYTHING, "database back")

    def _synced(self, path: Path, result: Result, live: bool) -> None:  # noqa: FBT001 - the queue's signature
        if result.outcome is Outcome.ABSENT:
            self._rounds.request(path.parent, "absent")
        elif result.outcome is Outcome.INVALID:
            event(
                _LOG,
                logging.WARNING,
                "session.unreadable",
                "kept the last good row",
                path=str(path),
                error=result.error,
            )
        elif result.outcome is Outcome.WRITTEN:
            level = logging.INFO if live else logging.DEBUG
            event(_LOG, level, "session.synced", "mirrored", path=str(path))
