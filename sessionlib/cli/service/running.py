"""Starting, stopping and judging the service: its manager's word beside the daemon's own."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessionlib.cli.service import neighbours
from sessionlib.cli.service.manager import Manager, ServiceState
from sessionlib.cli.service.places import runtime_dir_of, state_dir_of
from sessionlib.cli.service.runner import ServiceError
from sessionlib.errors import ConfigError, ControlError, DaemonNotRunningError, InstanceLockedError
from sessionlib.locations import CONFIG_VARIABLE

if TYPE_CHECKING:
    from sessionlib.cli.context import Context
    from sessionlib.control import Status

NOT_RUNNING = 3
_STALE = 1

_REASONS = {
    2: "an option does not fit",
    64: "an option does not fit",
    69: "the database cannot be reached",
    75: "another sessiond holds the state folder",
    78: "the configuration cannot be used, or the database is of a newer version",
    203: "the program cannot be run",
    217: "its user does not exist",
    226: "the sandbox cannot be set up",
    243: "a credential is missing",
}
"""Exit codes: ours, then those with which systemd ends a process before it is ours."""


def exit_reason(code: int) -> str:
    """Return what an exit code of the daemon means."""
    reason = _REASONS.get(code)
    return f"exit code {code}: {reason}" if reason else f"exit code {code}"


def require_installed(manager: Manager) -> ServiceState:
    """Return the state of the service.

    Raises:
        ServiceError: The manager does not run, or knows no such service.
    """
    manager.require()
    state = manager.state()
    if not state.known:
        flag = " --system" if manager.system else ""
        raise ServiceError(
            f"the service is not installed in {manager.name}", hint=f"sessionctl service install{flag}"
        )
    return state


def start(context: "Context", manager: Manager, *, again: bool) -> str:
    """Start the service, or start it again; return what was done.

    Raises:
        InstanceLockedError: A daemon that is not the service's holds the state folder.
        ServiceError: It is not installed, or did not start.
    """
    before = require_installed(manager)
    if before.running and not again:
        return f"the service runs already, as process {before.pid}"
    folder = state_dir_of(context, manager, before)
    holder = neighbours.holder(folder)
    if holder is not None and holder != before.pid:
        raise InstanceLockedError(
            f"another sessiond (process {holder}), which is not the service's, holds {folder}",
            hint="stop that one first: sessiond stop",
        )
    try:
        (manager.restart if again else manager.start)()
    except ServiceError as error:
        raise _did_not_start(manager, error) from error
    if manager.runner.dry_run:
        return f"would {'restart' if again else 'start'} the service"
    return f"{'restarted' if again else 'started'} the service, as process {manager.state().pid}"


def _did_not_start(manager: Manager, error: ServiceError) -> ServiceError:
    state = manager.state()
    flag = " --system" if manager.system else ""
    why = exit_reason(state.exit_code) if state.exit_code else state.result or error.message
    return ServiceError(f"the service did not start: {why}", hint=f"sessionctl service logs{flag}")


def stop(context: "Context", manager: Manager) -> tuple[str, list[str]]:
    """Stop the service; return what was done, and notes.

    Raises:
        ServiceError: It is not installed, or does not stop.
    """
    before = require_installed(manager)
    # One that is about to be started again is stopped as well.
    if before.running or before.state not in {"inactive", "failed", "not loaded"}:
        manager.stop()
        said = "would stop the service" if manager.runner.dry_run else "stopped the service"
    else:
        said = "the service does not run"
    holder = neighbours.holder(state_dir_of(context, manager, before))
    if holder is None or holder == before.pid:
        return said, []
    return said, [f"another sessiond (process {holder}) runs; stop it with: sessiond stop"]


@dataclass(frozen=True, slots=True)
class Report:
    """The service, seen from both sides.

    Attributes:
        service: Its manager's word; None where there is no manager.
        daemon: The daemon's own word; None when it does not answer.
        trouble: Why it does not, or why there is no manager; None when all is well.
        exit_code: 0 fresh, 1 stale or not to be judged, 3 not running.
    """

    service: ServiceState | None
    daemon: "Status | None"
    trouble: str | None
    exit_code: int

    @property
    def managed(self) -> bool:
        """Whether the daemon that answers is the service's."""
        return self.service is not None and self.daemon is not None and self.service.pid == self.daemon.pid

    def row(self, manager: Manager) -> dict[str, Any]:
        """Return it for programs."""
        service = self.service
        return {
            "service": str(manager.path),
            "manager": manager.name,
            "installed": bool(service and service.known),
            "enabled": bool(service and service.enabled),
            "state": service.state if service else None,
            "pid": service.pid if service else None,
            "restarts": service.restarts if service else None,
            "exit_code": service.exit_code if service else None,
            "result": service.result if service else None,
            "definition_changed": bool(service and service.outdated),
            "managed": self.managed,
            "trouble": self.trouble,
            "daemon": self.daemon.to_json() if self.daemon else None,
        }


def report(context: "Context", manager: Manager) -> Report:
    """Ask both sides. A manager that does not run is reported, not raised."""
    trouble: str | None = None
    service: ServiceState | None = None
    try:
        manager.require()
        service = manager.state()
    except ServiceError as error:
        trouble = error.message
    try:
        daemon = _ask(context, manager, service)
    except (DaemonNotRunningError, ConfigError) as error:
        # A process that has not come up yet, or is about to end, runs and cannot be judged.
        code = _STALE if service is not None and service.running else NOT_RUNNING
        return Report(service, None, trouble or error.message, code)
    except ControlError as error:
        return Report(service, None, error.message, _STALE)
    return Report(service, daemon, trouble, _STALE if daemon.stale else 0)


def _ask(context: "Context", manager: Manager, service: ServiceState | None) -> "Status":
    from sessionlib.control import ControlClient

    known = service if service is not None and service.known else None
    folder = state_dir_of(context, manager, known)
    runtime = runtime_dir_of(manager, known) if known else None
    config = known.environment.get(CONFIG_VARIABLE) if known else None
    file = Path(config) if config else context.options.config
    return ControlClient.find(folder, runtime, file).status()
