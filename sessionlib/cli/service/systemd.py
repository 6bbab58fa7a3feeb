"""systemd, of the machine or of one user."""

import os
import pwd
import shlex
from pathlib import Path

from sessionlib.cli.service import neighbours
from sessionlib.cli.service.definitions import UNIT
from sessionlib.cli.service.launch import Launch
from sessionlib.cli.service.manager import ServiceState
from sessionlib.cli.service.runner import Runner, ServiceError
from sessionlib.cli.service.unit import unit_text

_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "NeedDaemonReload",
    "MainPID",
    "NRestarts",
    "ExecMainCode",
    "ExecMainStatus",
    "Result",
    "StatusText",
    "Environment",
    "FragmentPath",
)
_RUNNING = frozenset({"active", "activating", "reloading"})
_ENABLED = frozenset({"enabled", "enabled-runtime", "linked", "linked-runtime"})
_EXITED = "1"
"""The kernel's CLD_EXITED: the process ended by itself, so that its status is an exit code."""

_SERVICE_USER = "sessiond"


class Systemd:
    """The service as a unit.

    Args:
        runner: Runs systemctl and its kin.
        system: The machine's systemd, not the user's.
    """

    def __init__(self, runner: Runner, *, system: bool) -> None:
        self.runner = runner
        self.system = system
        self.name = "systemd" if system else "systemd of this user"
        self.path = (neighbours.SYSTEM_UNITS if system else neighbours.user_units()) / UNIT
        self._systemctl = ("systemctl",) if system else ("systemctl", "--user")

    def require(self) -> None:
        """See `Manager`."""
        if not self.runner.finds("systemctl"):
            raise ServiceError(
                "there is no systemd here (systemctl is not installed)", hint=neighbours.WITHOUT_MANAGER
            )
        reply = self.runner.ask(*self._systemctl, "show", "--property=Version", "--value")
        if reply.code == 0 and reply.out.strip():
            return
        hint = neighbours.WITHOUT_MANAGER
        if not self.system and Path("/run/systemd/system").is_dir():
            hint = "log in as this user for it to start (not by su or sudo), or: sessiond run --detach"
        raise ServiceError(f"{self.name} does not run here: {reply.words}", hint=hint)

    def definition(self, launch: Launch) -> str:
        """See `Manager`."""
        return unit_text(launch, system=self.system)

    def state(self) -> ServiceState:
        """See `Manager`."""
        reply = self.runner.ask(*self._systemctl, "show", f"--property={','.join(_PROPERTIES)}", UNIT)
        found = dict(line.partition("=")[::2] for line in reply.out.splitlines())
        if reply.code or "LoadState" not in found:
            raise ServiceError(f"{self.name} does not tell the state of the service: {reply.words}")
        pid = _number(found.get("MainPID")) or None
        exited = found.get("ExecMainCode") == _EXITED
        failed = found.get("Result") not in {"", "success", None}
        return ServiceState(
            known=found["LoadState"] != "not-found",
            running=found.get("ActiveState", "") in _RUNNING and pid is not None,
            state=found.get("ActiveState", "") if found["LoadState"] == "loaded" else found["LoadState"],
            enabled=found.get("UnitFileState", "") in _ENABLED,
            outdated=found.get("NeedDaemonReload") == "yes",
            pid=pid,
            restarts=_number(found.get("NRestarts")),
            exit_code=_number(found.get("ExecMainStatus")) if exited else None,
            result=found["Result"] if failed else None,
            says=found.get("StatusText") or None,
            environment=_assignments(found.get("Environment", "")),
            definition=Path(found["FragmentPath"]) if found.get("FragmentPath") else None,
        )

    def adopt(self) -> None:
        """See `Manager`."""
        self.runner.do(*self._systemctl, "daemon-reload")
        if not self.runner.dry_run:
            self._check_adopted()
        self.runner.do(*self._systemctl, "enable", UNIT)

    def _check_adopted(self) -> None:
        state = self.state()
        if not state.known:
            raise ServiceError(
                f"{self.name} does not look into {self.path.parent}",
                hint="its XDG_CONFIG_HOME is another than this shell's; install with that one",
            )
        if state.definition is not None and state.definition != self.path:
            raise ServiceError(
                f"{self.name} takes {state.definition} before {self.path}",
                hint=f"remove {state.definition}, or leave the service to it: sessionctl service uninstall",
            )
        if state.state == "masked":
            raise ServiceError("the service is masked", hint=shlex.join([*self._systemctl, "unmask", UNIT]))

    def drop(self) -> None:
        """See `Manager`."""
        self.runner.do(*self._systemctl, "disable", "--now", UNIT)

    def forget(self) -> None:
        """See `Manager`."""
        self.runner.do(*self._systemctl, "daemon-reload")
        if not self.runner.dry_run:
            # A failed service would be listed for ever; one that has not failed is none to reset.
            self.runner.ask(*self._systemctl, "reset-failed", UNIT)

    def start(self) -> None:
        """See `Manager`."""
        self._start("start")

    def restart(self) -> None:
        """See `Manager`."""
        self._start("restart")

    def _start(self, verb: str) -> None:
        if self.state().state == "failed":
            self.runner.do(*self._systemctl, "reset-failed", UNIT)
        self.runner.do(*self._systemctl, verb, UNIT)

    def stop(self) -> None:
        """See `Manager`."""
        self.runner.do(*self._systemctl, "stop", UNIT)

    def show_logs(self, lines: int, *, follow: bool) -> int:
        """See `Manager`."""
        # --user-unit finds a user's records also where journald keeps no journal for each user.
        which = f"--unit={UNIT}" if self.system else f"--user-unit={UNIT}"
        more = ["--follow"] if follow else []
        return self.runner.hand_over("journalctl", which, f"--lines={lines}", "--no-pager", *more)

    def advice(self) -> list[str]:
        """See `Manager`."""
        return self._advice_for_system() if self.system else self._advice_for_user()

    def _advice_for_user(self) -> list[str]:
        user = str(os.getuid())
        reply = self.runner.ask("loginctl", "show-user", user, "--property=Linger", "--value")
        if reply.code == 0 and reply.out.strip() == "yes":
            return []
        return ["it stops when you log out; `loginctl enable-linger` lets it run from boot on"]

    def _advice_for_system(self) -> list[str]:
        advice = []
        try:
            pwd.getpwnam(_SERVICE_USER)
        except KeyError:
            advice.append(
                f"there is no user {_SERVICE_USER} yet: useradd --system --user-group "
                f"--home-dir /var/lib/sessiond --shell /usr/sbin/nologin {_SERVICE_USER}"
            )
        return [
            *advice,
            f"the user {_SERVICE_USER} must be able to run the program and to read the projects",
        ]


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _assignments(text: str) -> dict[str, str]:
    """Return the variables of systemd's own words, quoted as for a shell."""
    try:
        return dict(word.partition("=")[::2] for word in shlex.split(text))
    except ValueError:
        return {}
