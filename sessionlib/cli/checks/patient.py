"""Whom `sessionctl doctor` looks at: this installation, as seen from one project's folder."""

from functools import cached_property
from pathlib import Path

from sessionlib.cli import hooking, statusing
from sessionlib.cli.context import Context
from sessionlib.config import Config
from sessionlib.control.status import Status
from sessionlib.errors import ControlError
from sessionlib.journal.claude_code.events import Version
from sessionlib.journal.spool import Spool


class Patient:
    """What the checks share; each part is looked at once, when it is first needed.

    Args:
        context: Of the command.
        folder: The project's folder, absolute.
    """

    def __init__(self, context: Context, folder: Path) -> None:
        self.context = context
        self.folder = folder

    @property
    def config(self) -> Config:
        """The settings in force."""
        return self.context.config

    @cached_property
    def spool(self) -> Spool:
        """Where hooks leave what they are told."""
        return Spool(self.config.locations.spool)

    @cached_property
    def daemon(self) -> statusing.Report:
        """What is known of the daemon."""
        return statusing.look(self.context.options)

    @cached_property
    def status(self) -> Status | None:
        """The daemon's snapshot, the one that its report is of; None when it has not answered."""
        if not self.daemon.answered:
            return None
        try:
            return Status.from_json(self.daemon.tree)
        except ValueError:
            return None  # of another version

    @property
    def has_daemon(self) -> bool:
        """Whether a daemon runs and reads the spool."""
        return self.daemon.code != statusing.NO_DAEMON and self.config.tracking.hooks

    def stored(self) -> int | None:
        """Return how many deliveries the daemon has stored since its start; None if it does not say."""
        try:
            tracking = self.context.client().status().tracking
        except ControlError:
            return None
        return None if tracking is None else tracking.stored

    @cached_property
    def client_version(self) -> Version | None:
        """The coding client's version, as it tells itself."""
        return hooking.client_version()
