"""The service: the order in which the parts of a daemon start and stop, and its pulse while it runs."""

import logging
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from tenacity import RetryCallState

from sessiond.control.server import ControlServer
from sessiond.logs import LogOptions, Logs, event
from sessiond.notify import Notifier
from sessiond.operations import Operations
from sessiond.parts import Parts
from sessiond.progress import Progress
from sessiond.readahead import ReadAhead
from sessiond.reload import merged, read
from sessiond.signals import Signals
from sessiond.statusfile import StatusFile
from sessionlib import __version__
from sessionlib import config as configuration
from sessionlib.config import Config
from sessionlib.control.status import ConfigState
from sessionlib.errors import DatabaseError, SessionlibError, StoppingError, told
from sessionlib.models.base import iso_milliseconds, utc_now
from sessionlib.runtime import Runtime
from sessionlib.sync.retry import RetryPolicy

_LOG = logging.getLogger("sessiond")

_REMINDER = 30.0
"""Seconds between two log lines about a database that is down."""

_PULSE = 5.0
"""Seconds between two looks at the parts; the service manager may ask for shorter ones."""

_CONTROL_LEAST, _CONTROL_MOST = 0.5, 2.0
"""Seconds that the control server has for its end, which comes after the drain, by what that has left."""

GRACE = 1.0
"""Seconds beyond the drain deadline after which a process that still hangs is left by force."""

_START_GRACE = 30.0
"""Seconds by which a wait for the database asks the service manager to prolong the start, each time."""


def log_options(config: Config) -> LogOptions:
    """Return how a configuration wants the log to be."""
    return LogOptions(config.log.level, config.log.format, config.log.file)


class Service:
    """One running daemon.

    Args:
        config: The settings; the roots to watch are `config.watch.roots`.
        signals: Installed.
        load: Reads the configuration again, with the same options.
        logs: Set up.
        notifier: Tells the service manager.
        on_ready: Called once the daemon listens and watches; or once it listens and waits for its database,
            with a note that says so.
    """

    def __init__(
        self,
        config: Config,
        signals: Signals,
        *,
        load: Callable[[], Config],
        logs: Logs,
        notifier: Notifier,
        on_ready: Callable[[str | None], None] = lambda _note: None,
    ) -> None:
        self._config = config
        self._signals = signals
        self._load = load
        self._logs = logs
        self._notifier = notifier
        self._on_ready = on_ready
        self._complained = float("-inf")
        self._reloads = ThreadPoolExecutor(1, thread_name_prefix="reload")
        self._operations = Operations(config, logs=logs, ask_reload=self._ask_reload)
        self._status_file = StatusFile(config.locations.status_file)
        self._written: tuple[object, ...] = ()
        self._drained_by = 0.0
        self._heard = Progress("control", alive=True)
        self._read_ahead = ReadAhead(allowed=config.sync.read_ahead)

    def run(self) -> int:
        """Run until asked to stop, then drain within the deadline; return the number of folders left over.

        Raises:
            ConfigError: The configuration, the database's URL or the control socket cannot be used.
            SchemaMismatchError: The database's schema is newer.
        """
        source = self._config.source
        event(_LOG, logging.INFO, "sessiond.starting", "starting", pid=os.getpid(), config=source)
        control = self._control()
        control.start()
        # From now on: a reload may be what a database that does not answer is waiting for.
        self._signals.listen(
            on_reload=self._hang_up,
            on_rescan=self._operations.rescan_all,
            on_dump=lambda file: event(_LOG, logging.WARNING, "signal.stacks", "stacks written", file=file),
        )
        self._operations.listen = None if control.address is None else "{}:{}".format(*control.address[:2])
        try:
            runtime = self._open_runtime()
            if runtime is None:
                self._notifier.stopping()
                event(_LOG, logging.INFO, "sessiond.stopped", "stopped before its database was there", left=0)
                return 0
            return self._serve(runtime, control)
        finally:
            rest = self._drained_by - time.monotonic()
            control.stop(timeout=max(_CONTROL_LEAST, min(_CONTROL_MOST, rest)))
            self._reloads.shutdown(wait=False, cancel_futures=True)

    def _control(self) -> ControlServer:
        settings = self._config.control
        return ControlServer(
            self._operations,
            socket_path=self._config.locations.socket,
            listen=settings.listen,
            token=self._token(),
            origins=settings.origins,
            clients=settings.clients,
            request_timeout=settings.request_timeout,
            version=__version__,
        )

    def _token(self) -> str | None:
        """Return what clients of the loopback listener must show; None without one."""
        if not self._config.control.listen:
            return None
        token = self._config.control_token()
        self._logs.keep_secret(token)
        return token

    def _serve(self, runtime: Runtime, control: ControlServer) -> int:
        self._operations.opened()
        parts = Parts(self._config, runtime, self._operations.feed, others=[lambda: self._heard])
        parts.start()
        # Among the reloads, so that none falls between the configuration the parts have and what they get.
        self._reloads.submit(self._attach, parts).result()
        self._signals.give_up_after(self._config.daemon.drain_deadline + GRACE)
        self._operations.state = "ready"
        self._notifier.ready()
        self._on_ready(None)
        event(
            _LOG,
            logging.INFO,
            "sessiond.ready",
            "watching",
            roots=",".join(map(str, self._config.watch.roots)),
            database=runtime.database.name,
            socket=str(self._config.locations.socket),
            listen=self._operations.listen,
        )
        try:
            self._beat(parts, control)
        finally:
            left = self._stop(parts)
        return left

    def _attach(self, parts: Parts) -> None:
        self._operations.attach(parts)
        if parts.config is not self._config:
            try:
                self._operations.change(self._config)
            except SessionlibError as error:
                self._config = parts.config
                self._reject(error)

    def _stop(self, parts: Parts) -> int:
        deadline = parts.config.daemon.drain_deadline
        started = time.monotonic()
        last = self._operations.stop()
        self._notifier.stopping()
        event(_LOG, logging.INFO, "sessiond.stopping", "stopping", deadline_s=deadline)
        self._drained_by = started + deadline
        left = parts.stop(deadline)
        self._read_ahead.close()
        reasons = (*last.reasons, *([f"{left} folders were left to the next start"] if left else ()))
        self._status_file.write(
            replace(
                last, state="stopped", at=iso_milliseconds(utc_now()), stale=bool(reasons), reasons=reasons
            )
        )
        event(
            _LOG,
            logging.WARNING if left else logging.INFO,
            "sessiond.stopped",
            "stopped; the next start mirrors what is left" if left else "stopped",
            left=left,
            for_s=round(time.monotonic() - started, 2),
        )
        return left

    # --- the start -----------------------------------------------------------------------------

    def _open_runtime(self) -> Runtime | None:
        """Open the database; wait for one that does not answer yet. None when asked to stop meanwhile."""
        stop = self._signals.stop
        policy = RetryPolicy(attempts=sys.maxsize, first=0.2, cap=5.0)
        retrying = policy.retrying(stop).copy(before_sleep=self._complain)
        try:
            # The configuration of the moment: a reload may have mended it.
            return retrying(lambda: Runtime.open(self._config, start=False, read_portion=self._read_ahead))
        except DatabaseError:
            if stop.is_set():
                return None
            raise

    def _complain(self, attempt: RetryCallState) -> None:
        """Say that the database is down, once and then every 30 s."""
        error = attempt.outcome.exception() if attempt.outcome is not None else None
        self._operations.waiting_for_database("" if error is None else told(error))
        self._notifier.extend_timeout(_START_GRACE)
        self._notifier.status(f"waiting for the database: {error}")
        self._on_ready("waiting for its database")
        now = time.monotonic()
        if now - self._complained >= _REMINDER:
            self._complained = now
            # A process that is killed while it waits leaves these as its last words, not its predecessor's.
            self._status_file.write(self._operations.status())
            hint = getattr(error, "hint", None)
            event(
                _LOG, logging.ERROR, "db.down", "database down, waiting for it", error=str(error), hint=hint
            )

    # --- the pulse -----------------------------------------------------------------------------

    def _listen_to(self, control: ControlServer) -> None:
        """Note whether the control server's loop answers; not to be asked from that loop itself."""
        now = time.monotonic()
        silent = control.ping() is None
        held = (self._heard.holding_since or now) if silent else None
        since = self._heard.since if silent else now
        self._heard = Progress("control", control.is_alive, since, held)

    def _beat(self, parts: Parts, control: ControlServer) -> None:
        """Tell the service manager that things move, until asked to stop."""
        pause = min(_PULSE, self._notifier.watchdog_interval or _PULSE)
        while True:
            self._listen_to(control)
            parts.look_after_database()
            stuck = parts.board.stuck()
            if not stuck:
                self._notifier.watchdog()
            status = self._operations.status()
            words = "; ".join(status.reasons) if status.stale else f"{status.queue.synced} synced, all fresh"
            self._notifier.status(words)
            # Written when something is news, so that an idle daemon writes no more than its heartbeat.
            news = (status.state, status.database.up, parts.board.vouched, status.config, tuple(stuck))
            if news != self._written:
                self._written = news
                self._status_file.write(status)
            self._logs.flush()
            if self._signals.stop.wait(pause):
                return

    # --- reload --------------------------------------------------------------------------------

    def _ask_reload(self) -> "Future[dict[str, Any]]":
        """Plan a reload; never blocks. Reloads follow each other."""
        return self._reloads.submit(self._reload)

    def _hang_up(self) -> None:
        self._ask_reload().add_done_callback(_tell_defect)

    def _reload(self) -> dict[str, Any]:
        if self._signals.stop.is_set():
            raise StoppingError
        is_ready = self._operations.state == "ready"
        if is_ready:
            self._notifier.reloading()
        try:
            applied, waiting = self._take_over(read(self._load))
        except SessionlibError as error:
            self._reject(error)
            raise
        finally:
            if is_ready:
                self._notifier.ready()
        self._operations.config = ConfigState(
            source=self._config.source, reloaded_at=iso_milliseconds(utc_now()), needs_restart=tuple(waiting)
        )
        event(
            _LOG,
            logging.WARNING if waiting else logging.INFO,
            "config.reloaded",
            "configuration reloaded",
            applied=",".join(applied) or "nothing",
            needs_restart=",".join(waiting) or None,
        )
        return {"applied": applied, "needs_restart": waiting}

    def _reject(self, error: SessionlibError) -> None:
        self._operations.config = replace(
            self._operations.config, reloaded_at=iso_milliseconds(utc_now()), reload_error=error.message
        )
        event(
            _LOG,
            logging.ERROR,
            "config.rejected",
            "the configuration cannot be used; the old one stays in force",
            error=error.message,
            hint=error.hint,
        )

    def _take_over(self, new: Config) -> tuple[list[str], list[str]]:
        """Take over what can be; all of it, or nothing when it raises."""
        applied, waiting = configuration.reloaded(self._config, new)
        config = merged(self._config, new, applied)
        for secret in config.secrets():
            self._logs.keep_secret(secret)
        self._logs.apply(log_options(config))
        try:
            self._operations.change(config)
        except BaseException:
            self._logs.apply(log_options(self._config))
            raise
        self._config = config
        if self._operations.state == "ready":
            self._signals.give_up_after(config.daemon.drain_deadline + GRACE)
        return applied, waiting


def _tell_defect(done: "Future[dict[str, Any]]") -> None:
    """Log what nobody else does: an error that was not raised on purpose."""
    error = None if done.cancelled() else done.exception()
    if error is not None and not isinstance(error, SessionlibError):
        _LOG.error("reload failed", exc_info=error, extra={"event": "config.crashed"})
