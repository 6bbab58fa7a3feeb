"""launchd of macOS, for one user: an agent in the domain of the graphical login."""

import os
import plistlib
import re
import time
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from sessionlib.cli.service import neighbours
from sessionlib.cli.service.definitions import LABEL
from sessionlib.cli.service.launch import Launch
from sessionlib.cli.service.manager import ServiceState
from sessionlib.cli.service.plist import plist_text
from sessionlib.cli.service.runner import Runner, ServiceError

_GONE_WITHIN = 60.0
_LOOK_EVERY = 0.2
"""Seconds: launchctl does not wait for the end of a job that it unloads."""


class Launchd:
    """The service as a launch agent.

    Args:
        runner: Runs launchctl.
    """

    name = "launchd"
    system = False

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.path = neighbours.user_agents() / f"{LABEL}.plist"
        self._domain = f"gui/{os.getuid()}"
        self._target = f"{self._domain}/{LABEL}"

    def require(self) -> None:
        """See `Manager`."""
        if not self.runner.finds("launchctl"):
            raise ServiceError(
                "there is no launchd here (launchctl is not installed)", hint=neighbours.WITHOUT_MANAGER
            )

    def definition(self, launch: Launch) -> str:
        """See `Manager`."""
        return plist_text(launch)

    def state(self) -> ServiceState:
        """See `Manager`."""
        reply = self.runner.ask("launchctl", "print", self._target)
        tree = self._tree()
        pid = _field(reply.out, "pid")
        exit_code = _field(reply.out, "last exit code")
        return ServiceState(
            known=self.path.exists(),
            running=pid is not None,
            state="running" if pid else "loaded" if reply.code == 0 else "not loaded",
            enabled=bool(tree.get("RunAtLoad")),
            pid=pid,
            exit_code=exit_code,
            result="exit code" if exit_code and not pid else None,
            environment=tree.get("EnvironmentVariables", {}),
            definition=self.path if tree else None,
        )

    def adopt(self) -> None:
        """See `Manager`."""
        # Loaded at the next login, or by `start`, even after an earlier `launchctl disable`.
        self.runner.do("launchctl", "enable", self._target)

    def drop(self) -> None:
        """See `Manager`."""
        self.stop()

    def forget(self) -> None:
        """See `Manager`; an unloaded job is forgotten already."""

    def start(self) -> None:
        """See `Manager`."""
        if self._is_loaded():
            self.runner.do("launchctl", "kickstart", self._target)
        else:
            self.runner.do("launchctl", "bootstrap", self._domain, str(self.path))

    def stop(self) -> None:
        """See `Manager`."""
        if not self._is_loaded():
            return
        self.runner.do("launchctl", "bootout", self._target)
        deadline = time.monotonic() + _GONE_WITHIN
        while not self.runner.dry_run and self._is_loaded():
            if time.monotonic() > deadline:
                raise ServiceError("launchd does not end the service", hint="try again in a minute")
            time.sleep(_LOOK_EVERY)

    def restart(self) -> None:
        """See `Manager`."""
        # Loaded anew, so that a changed definition counts.
        loaded = self._is_loaded()
        self.stop()
        if loaded and self.runner.dry_run:
            self.runner.do("launchctl", "bootstrap", self._domain, str(self.path))
        else:
            self.start()

    def show_logs(self, lines: int, *, follow: bool) -> int:
        """See `Manager`."""
        log = self._tree().get("StandardErrorPath")
        if not log:
            raise ServiceError(f"{self.path} names no log file", hint="sessionctl service install")
        return self.runner.tail(Path(log), lines, follow=follow)

    def advice(self) -> list[str]:
        """See `Manager`."""
        return []

    def _is_loaded(self) -> bool:
        return self.runner.ask("launchctl", "print", self._target).code == 0

    def _tree(self) -> dict[str, Any]:
        try:
            found = plistlib.loads(self.path.read_bytes())
        except (OSError, ValueError, ExpatError):
            return {}
        return found if isinstance(found, dict) else {}


def _field(text: str, name: str) -> int | None:
    # At one tab's depth: the parts below have fields of the same names.
    found = re.search(rf"^\t{name} = (\d+)\b", text, re.MULTILINE)
    return int(found[1]) if found else None
