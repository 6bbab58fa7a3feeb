"""A world of its own for one client: its home, a project, our hooks in its settings, the spool they fill."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from sessionlib.journal.claude_code.events import Version, parse_version
from sessionlib.journal.claude_code.layout import TranscriptFile, projects_folder, walk
from sessionlib.journal.spool import Delivery, Spool
from tests.acceptance.processes import environment, sessionctl
from tests.e2e_client.api import Billed
from tests.e2e_client.reported import Reported
from tests.e2e_client.scripts import marked
from tests.e2e_client.stage import Play, Server, as_text

HOUSE = Path(__file__).parents[2]
MODEL = "claude-sonnet-4-5"

_KEY = "none-is-needed"
_SWITCHES = (
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
    "DISABLE_AUTOUPDATER",
    "DISABLE_ERROR_REPORTING",
    "DISABLE_GROWTHBOOK",
    "DISABLE_TELEMETRY",
    "DISABLE_UPDATES",
    "DO_NOT_TRACK",
)
"""Variables that keep a client from calling anybody but its API."""

_ALLOWED = ("Bash", "Read", "Task", "Agent", "TaskCreate", "TaskUpdate", "mcp__demo__add", "mcp__demo__boom")
_SCOUT = """\
---
name: scout
description: looks around
model: haiku
---
You look around.
"""
HOOK_EVENTS = "--include-hook-events"
"""The option that has newer clients say what their hooks have printed."""
_OUTSPOKEN = (HOOK_EVENTS, "--forward-subagent-text")
"""The second has them say what agents of agents do, too."""

_SAID: dict[tuple[Path, str], str] = {}
_ALL = 100_000
_BEYOND = 20.0
"""Seconds that a stage may take longer than its client."""


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one run of the client.

    Attributes:
        code: Its exit code; negative for a signal.
        is_late: Whether it was killed at its limit.
        reported: What it said of itself.
        errors: What it printed on standard error.
        billed: What its API has charged, answer by answer.
        unknown: Requests that the stand-in of the API does not know.
    """

    code: int
    is_late: bool
    reported: Reported
    errors: str
    billed: tuple[Billed, ...]
    unknown: tuple[str, ...]


@dataclass
class World:
    """Where a client lives.

    Attributes:
        binary: The client.
        folder: Everything lies below it.
        runs: What was played so far.
    """

    binary: Path
    folder: Path
    runs: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        for path in (
            self.home,
            self.project / ".claude" / "agents",
            self.client.parent,
            self.state,
            self.folder / "tmp",
        ):
            path.mkdir(parents=True)
        (self.project / "README.md").write_text("Read me.\n")
        (self.project / ".claude" / "agents" / "scout.md").write_text(_SCOUT)
        self._link_client()
        settings = self.home / ".claude" / "settings.json"
        settings.parent.mkdir()
        settings.write_text(json.dumps({"permissions": {"allow": _ALLOWED}}))
        done = sessionctl(self.environ, "hooks", "install", "--user")
        assert done.returncode == 0, done.stderr

    def _link_client(self) -> None:
        """Put the client into the search path, where `sessionctl` asks it for its version."""
        client = self.client
        if self.binary.suffix != ".js":
            client.symlink_to(self.binary)
            return
        node = shutil.which("node")
        assert node is not None, "a client in JavaScript needs node"
        client.write_text(f'#!/bin/sh\nexec "{node}" "{self.binary}" "$@"\n')
        client.chmod(0o755)

    @property
    def home(self) -> Path:
        """The client's home."""
        return self.folder / "home"

    @property
    def project(self) -> Path:
        """The folder it works in."""
        return self.folder / "code" / "shop"

    @property
    def client(self) -> Path:
        """The client, under the name that it is looked for."""
        return self.folder / "bin" / "claude"

    @property
    def state(self) -> Path:
        """Our state folder."""
        return self.folder / "state"

    @property
    def version(self) -> Version:
        """The client's version."""
        version = parse_version(self._said("--version"))
        assert version is not None
        return version

    def knows(self, option: str) -> bool:
        """Tell whether the client takes an option."""
        return option in self._said("--help")

    def _said(self, option: str) -> str:
        """Return what the client says when asked for this alone; asked in one world, it is known in all."""
        asked = self.binary, option
        if asked not in _SAID:
            _SAID[asked] = subprocess.run(
                [self.client, option],
                env=self._client_environ(),
                capture_output=True,
                timeout=60,
                check=True,
                text=True,
            ).stdout
        return _SAID[asked]

    @property
    def session_ids(self) -> list[str]:
        """The conversations of all runs, in their order."""
        return list(dict.fromkeys(one for run in self.runs for one in run.reported.session_ids))

    @property
    def spool(self) -> Spool:
        """What the hooks fill."""
        return Spool(self.state / "spool")

    @property
    def environ(self) -> dict[str, str]:
        """The environment of our own commands in this world."""
        kept = environment(f"sqlite:///{self.folder / 'mirror.db'}", self.state)
        kept.pop("CLAUDE_CONFIG_DIR", None)
        return kept | {"HOME": str(self.home), "PATH": f"{self.client.parent}:{kept['PATH']}"}

    def deliveries(self) -> list[Delivery]:
        """Return what the hooks have left, in order."""
        return [self.spool.read(name) for name in self.spool.names(_ALL)]

    def transcripts(self) -> list[TranscriptFile]:
        """Return the client's transcripts, as we find them."""
        return list(walk(projects_folder(self.home / ".claude")))

    def play(
        self,
        script: str,
        *arguments: str,
        more: Iterable[str] = (),
        stop_at: str = "",
        seconds: float = 60.0,
        environ: Mapping[str, str] | None = None,
        beside: Server | None = None,
    ) -> Run:
        """Have the client play a script.

        Args:
            script: Which; also of the first prompt, if there are more.
            arguments: More of the client's arguments.
            more: Prompts that follow in the same process.
            stop_at: Words in a line of its output soon after which it is ended by SIGTERM.
            seconds: After which it is killed.
            environ: More of the client's environment.
            beside: What runs beside it.
        """
        prompts = [marked(script), *more]
        out, err = (self.folder / f"{kind}-{len(self.runs)}" for kind in ("out", "err"))
        is_talk = len(prompts) > 1
        asked = ["-p", "--input-format", "stream-json"] if is_talk else ["-p", prompts[0]]
        network = _own_network()
        play = Play(
            command=[str(self.client), *asked, *self._options(), *arguments],
            environ=self._client_environ() | dict(environ or {}),
            folder=str(self.project),
            output=str(out),
            errors=str(err),
            prompts=prompts if is_talk else [],
            seconds=seconds,
            stop_at=stop_at,
            is_alone=bool(network),
            beside=beside,
        )
        done = subprocess.run(
            [*network, sys.executable, "-m", "tests.e2e_client.stage"],
            input=as_text(play),
            capture_output=True,
            cwd=HOUSE,
            text=True,
            timeout=seconds + _BEYOND,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        run = Run(
            code=told["code"],
            is_late=told["is_late"],
            reported=Reported.of(out.read_bytes()),
            errors=err.read_text(errors="replace"),
            billed=tuple(Billed(**one) for one in told["billed"]),
            unknown=tuple(told["unknown"]),
        )
        self.runs.append(run)
        return run

    def _options(self) -> list[str]:
        server = {
            "command": sys.executable,
            "args": [str(Path(__file__).with_name("demo_server.py"))],
            "alwaysLoad": True,
        }
        servers = json.dumps({"mcpServers": {"demo": server}})
        printing = ["--output-format", "stream-json", "--verbose"]
        printing += [option for option in _OUTSPOKEN if self.knows(option)]
        return [*printing, "--model", MODEL, "--mcp-config", servers, "--strict-mcp-config"]

    def _client_environ(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "PATH": f"{self.client.parent}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "SHELL": "/bin/bash",
            "TMPDIR": str(self.folder / "tmp"),
            "CLAUDE_CODE_TMPDIR": str(self.folder / "tmp"),
            "ANTHROPIC_API_KEY": _KEY,
            "CLAUDE_CODE_MAX_RETRIES": "1",
            **dict.fromkeys(_SWITCHES, "1"),
        }


@cache
def _own_network() -> tuple[str, ...]:
    """Return the command that gives a process a network of its own; none where that is not permitted."""
    for command in (("unshare", "--net"), ("unshare", "--map-root-user", "--net")):
        try:
            done = subprocess.run([*command, "true"], capture_output=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return ()
        if done.returncode == 0:
            return command
    return ()
