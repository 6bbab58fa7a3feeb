"""What a service manager can do for us, and what it says of the service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sessionlib.cli.service.launch import Launch
from sessionlib.cli.service.runner import Runner


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """The service in its manager's eyes.

    Attributes:
        known: The manager has read a definition of it.
        running: It has a process.
        state: The manager's own word: active, inactive, failed, activating …
        enabled: It starts by itself, at boot or login.
        outdated: The definition was changed since the manager read it.
        pid: The main process; None without one.
        restarts: How often the manager has started it again; None where it does not count.
        exit_code: How the last main process ended; None where it has not, or was ended by a signal.
        result: Why it failed, in the manager's word; None where it did not.
        says: What the daemon has told the manager about itself.
        environment: Variables of the definition.
        definition: The file the manager has read.
    """

    known: bool
    running: bool
    state: str
    enabled: bool
    outdated: bool = False
    pid: int | None = None
    restarts: int | None = None
    exit_code: int | None = None
    result: str | None = None
    says: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    definition: Path | None = None


class Manager(Protocol):
    """systemd of the machine or of a user, or launchd. Errors are `ServiceError`."""

    @property
    def runner(self) -> Runner:
        """What its commands go through."""
        ...

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def system(self) -> bool:
        """Whether the service is the machine's, not a user's."""
        ...

    @property
    def path(self) -> Path:
        """Where the definition belongs."""
        ...

    def require(self) -> None:
        """Raise a `ServiceError` that says what to do instead where the manager does not run."""
        ...

    def definition(self, launch: Launch) -> str:
        """Return the definition's text."""
        ...

    def state(self) -> ServiceState:
        """Ask for the service's state."""
        ...

    def adopt(self) -> None:
        """Let the manager read the written definition, and start the service at boot or login."""
        ...

    def drop(self) -> None:
        """Stop the service and let it start no more; the definition is still there."""
        ...

    def forget(self) -> None:
        """Let the manager see that the definition is gone."""
        ...

    def start(self) -> None:
        """Start the service and wait until it is ready, where the manager can tell."""
        ...

    def stop(self) -> None:
        """Stop the service and wait for its end."""
        ...

    def restart(self) -> None:
        """Stop it if it runs, and start it."""
        ...

    def show_logs(self, lines: int, *, follow: bool) -> int:
        """Print what the daemon has logged, on this process's streams; return the exit code."""
        ...

    def advice(self) -> list[str]:
        """Return what a person should know after an installation."""
        ...
