"""Where the daemon's log is: a configured file, the service manager's, or the file of a detached daemon."""

from typing import TYPE_CHECKING

from sessionlib.cli.service.launch import service_config
from sessionlib.cli.service.manager import Manager
from sessionlib.cli.service.places import state_dir_of
from sessionlib.cli.service.runner import ServiceError
from sessionlib.errors import ConfigError
from sessionlib.locations import LOG_NAME

if TYPE_CHECKING:
    from sessionlib.cli.context import Context
    from sessionlib.config import Config


def show(context: "Context", manager: Manager, lines: int, *, follow: bool) -> int:
    """Print the end of the log on this process's streams; return the exit code.

    Raises:
        ServiceError: There is none.
    """
    config = _config(context, manager)
    if config is not None and config.log.file is not None:
        return manager.runner.tail(config.log.file, lines, follow=follow)
    if _is_installed(manager):
        return manager.show_logs(lines, follow=follow)
    detached = state_dir_of(context, manager, None) / LOG_NAME
    if detached.exists():
        return manager.runner.tail(detached, lines, follow=follow)
    flag = " --system" if manager.system else ""
    raise ServiceError(
        "there is no log: the service is not installed", hint=f"sessionctl service install{flag}"
    )


def _config(context: "Context", manager: Manager) -> "Config | None":
    try:
        return service_config(context) if manager.system else context.config
    except ConfigError:
        # That is what the log is going to tell.
        return None


def _is_installed(manager: Manager) -> bool:
    try:
        return manager.state().known
    except ServiceError:
        return manager.path.exists()
