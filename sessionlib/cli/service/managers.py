"""Which service manager this machine has."""

import sys

from sessionlib.cli.service.launchd import Launchd
from sessionlib.cli.service.manager import Manager
from sessionlib.cli.service.runner import Runner
from sessionlib.cli.service.systemd import Systemd
from sessionlib.errors import UsageError

PLATFORM: str = sys.platform


def choose(*, system: bool, dry_run: bool = False) -> Manager:
    """Return the manager of the machine's services or of this user's.

    Raises:
        UsageError: This machine's manager has no such services for us.
    """
    runner = Runner(dry_run=dry_run)
    if PLATFORM != "darwin":
        return Systemd(runner, system=system)
    if system:
        raise UsageError(
            "on macOS sessiond runs as an agent of a user", hint="leave out --system, and sudo with it"
        )
    return Launchd(runner)
