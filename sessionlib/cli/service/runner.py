"""The one door to the service managers: it finds their programs, runs them and keeps what it ran."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sessionlib.errors import SessionlibError

_ANSWER_WITHIN = 20.0
"""Seconds for a question; what changes something takes as long as the manager allows the service."""


class ServiceError(SessionlibError):
    """The service manager cannot do it, or must not."""


class Reply(NamedTuple):
    """How a program ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """The last line of what it complained, for a message."""
        lines = (self.err or self.out).strip().splitlines()
        return lines[-1] if lines else f"exit code {self.code}"


class Runner:
    """Runs programs of the service manager.

    Args:
        dry_run: Only remember what would change something; questions are asked all the same.
        environ: The environment of the programs; the process's own for None.
    """

    def __init__(self, *, dry_run: bool = False, environ: Mapping[str, str] | None = None) -> None:
        self.dry_run = dry_run
        self.commands: list[str] = []
        self._environ = dict(os.environ if environ is None else environ) | {
            "SYSTEMD_PAGER": "",
            "LC_ALL": "C",
        }
        runtime = Path(f"/run/user/{os.getuid()}")
        if "XDG_RUNTIME_DIR" not in self._environ and runtime.is_dir():
            # A shell of su or sudo has forgotten it; systemctl --user needs it.
            self._environ["XDG_RUNTIME_DIR"] = str(runtime)

    def finds(self, program: str) -> bool:
        """Tell whether there is such a program."""
        return shutil.which(program, path=self._environ.get("PATH")) is not None

    def ask(self, *command: str) -> Reply:
        """Run a command that changes nothing; a program that is not there replies with 127.

        Raises:
            ServiceError: It does not answer.
        """
        return self._run(command, _ANSWER_WITHIN)

    def do(self, *command: str) -> None:
        """Run a command that changes something, for as long as it takes.

        Raises:
            ServiceError: It failed; the message repeats its words.
        """
        self.commands.append(shlex.join(command))
        if self.dry_run:
            return
        reply = self._run(command, None)
        if reply.code:
            raise ServiceError(f"`{shlex.join(command)}` failed: {reply.words}")

    def hand_over(self, *command: str) -> int:
        """Run a command on this process's own streams until it ends; return its exit code."""
        try:
            # The program answers an interrupt itself, at the same time as we do.
            return subprocess.run(command, env=self._environ, check=False).returncode  # noqa: S603
        except OSError as error:
            raise ServiceError(f"cannot run {command[0]}: {error.strerror}") from error

    def tail(self, log: Path, lines: int, *, follow: bool) -> int:
        """Print the end of a log file, and what is added, also after a rotation; return the exit code.

        Raises:
            ServiceError: There is no such file.
        """
        if not log.exists():
            raise ServiceError(
                f"there is no log {log} yet", hint="start the service: sessionctl service start"
            )
        return self.hand_over("tail", "-n", str(lines), *(["-F"] if follow else []), str(log))

    def _run(self, command: tuple[str, ...], timeout: float | None) -> Reply:
        try:
            done = subprocess.run(  # noqa: S603 - fixed programs, no shell
                command,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except FileNotFoundError:
            return Reply(127, "", f"{command[0]} is not installed")
        except OSError as error:
            raise ServiceError(f"cannot run {command[0]}: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise ServiceError(f"`{shlex.join(command)}` does not answer") from error
        return Reply(done.returncode, done.stdout, done.stderr)
