"""Where the service keeps its files by its definition, which may differ from what this shell means."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sessionlib import locations
from sessionlib.cli.service.launch import SYSTEM_LOCATIONS
from sessionlib.cli.service.manager import Manager, ServiceState
from sessionlib.errors import ConfigError

if TYPE_CHECKING:
    from sessionlib.cli.context import Context


def state_dir_of(
    context: "Context",
    manager: Manager,
    state: ServiceState | None,
    environment: Mapping[str, str] | None = None,
) -> Path:
    """Return the service's state folder: its definition's, else the system's, else this shell's."""
    variables = environment if environment is not None else state.environment if state else {}
    named = variables.get(locations.STATE_VARIABLE)
    if named:
        return Path(named)
    if manager.system:
        return SYSTEM_LOCATIONS.state_dir
    try:
        return context.config.state_dir
    except ConfigError:
        # A service with a bad configuration can still be stopped and looked at.
        return locations.locate().state_dir


def runtime_dir_of(manager: Manager, state: ServiceState) -> Path | None:
    """Return the folder of the service's socket; None where its status file tells."""
    named = state.environment.get(locations.RUNTIME_VARIABLE)
    if named:
        return Path(named)
    return SYSTEM_LOCATIONS.runtime_dir if manager.system else None
