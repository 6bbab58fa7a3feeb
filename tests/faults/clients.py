"""Coding clients at work: transcripts and real hooks, and a desk where a daemon and a ledger follow both."""

import random
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from typing_extensions import override

from sessionlib.hooks import entry
from sessionlib.models.base import utc_now
from tests import builders
from tests.faults import ledger
from tests.faults.ground import RECOVERY, Ground, until
from tests.faults.ledger import Ledger
from tests.faults.writers import Writers
from tests.talks import Talk, stamp

COUNT = 3
"""Clients that work at once."""
LONG = "conversation-long"
"""The conversation that sessions say they are worked on in."""
PHASES = ("spec", "plan", "docs")


class Hooks:
    """Runs `session-hook` as clients do; any thread may.

    Attributes:
        times: Seconds that each took.
        wrong: What they said, or ended with, and must not have.
        perhaps: What those were told that took too long, which may be lost.

    Args:
        spool: Where it leaves what it is told.
        heard: Takes in what it was told and must have left there.
    """

    def __init__(self, spool: Path, heard: Ledger) -> None:
        self.spool = spool
        self.times: list[float] = []
        self.wrong: list[str] = []
        self.perhaps = Ledger()
        self._heard = heard

    def run(self, body: bytes, *, is_kept: bool = True) -> None:
        """Tell a hook something; it says nothing, and ends with 0."""
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-I", "-S", entry.__file__, "--spool", str(self.spool)],
            input=body,
            capture_output=True,
            env={},
            check=False,
        )
        took = time.monotonic() - began
        self.times.append(took)
        if (done.returncode, done.stdout, done.stderr) != (0, b"", b""):
            self.wrong.append(f"{done.returncode} {done.stdout!r} {done.stderr!r}")
        if is_kept:
            # One that comes to the end of its time leaves nothing, by design.
            (self._heard if took < entry.LIMIT else self.perhaps).hear(body)

    def p95(self, since: int = 0) -> float:
        """Return how long all but one in twenty took, since some of them."""
        times = sorted(self.times[since:])
        assert len(times) >= 10, "too few hooks to tell"
        return times[int(len(times) * 0.95)]

    def names(self) -> list[str]:
        """Return what waits in the spool."""
        return sorted(path.name for path in (self.spool / "new").glob("*"))


class Desk:
    """A ground with journals: a client's folder, a daemon that reads it, and a ledger of what was said.

    Args:
        ground: The ground.
        url: The daemon's database.
    """

    def __init__(self, ground: Ground, url: str) -> None:
        self.ground = ground
        self.root = ground.project(count=2)
        self.client = ground.home / "client"
        (self.client / "projects").mkdir(parents=True, exist_ok=True)
        self.daemon = ground.keeper(
            url, config="[daemon]\nstale_after = 2.0\n", environ={"CLAUDE_CONFIG_DIR": str(self.client)}
        )
        self.said = Ledger()
        self.hooks = Hooks(ground.home / "state" / "spool", self.said)
        self._moves = 0
        self.start = utc_now() - timedelta(minutes=30)

    def talk(self, native_id: str) -> Talk:
        """Begin a conversation."""
        return Talk(self.client, self.ground.code / "shop", native_id, self.start)

    def move(self) -> None:
        """Let the session that the long conversation works on say that it is in another phase than before."""
        self._moves += 1
        phases = PHASES[: self._moves % len(PHASES) + 1]
        link = {"client": "claude-code", "native_id": LONG, "linked_at": stamp(self.start)}
        document = builders.v2(topic=f"move {self._moves}", conversations=[link], current_phase=phases[-1])
        for number, phase in enumerate(phases):
            document["phase_history"][f"{phase}_started_at"] = builders.at(number)
        builders.make_session(self.root, "s0", document | {"session_id": "s0"})

    def drift(self, may: Ledger | None = None) -> list[str]:
        """Return where the database, or the spool, is not as it must be now that nobody writes."""
        waiting = self.hooks.names()
        must = self.said.read(self.client).look(self.ground.code)
        found = ledger.drift(self.daemon.url, self.client, must, may or self.hooks.perhaps)
        return [*([f"{len(waiting)} deliveries wait"] if waiting else []), *found]

    def recovered(self, since: float | None = None, may: Ledger | None = None) -> float:
        """Wait until all is stored, once; return the seconds since the last start, or a moment."""
        began = self.daemon.launched if since is None else since

        def told() -> str:
            return "\n".join([f"seed {self.ground.seed}", *self.drift(may)[:10], self.daemon.tail()])

        return until(lambda: not self.drift(may), "the journals to be stored", RECOVERY, told, began) - began

    def check_clean(self, may: Ledger | None = None) -> None:
        """Start it once more: it must write no row, and forget the transcripts that are gone; then end it."""
        self.daemon.end()
        before, mark = ledger.digest(self.daemon.url), ledger.settled(self.daemon.url)
        purged = ledger.gone(self.daemon.url, self.client)
        self.daemon.start()
        until(lambda: ledger.settled(self.daemon.url) != mark, "a look at all", 20.0, self.daemon.tail)
        self.daemon.end()
        after = ledger.digest(self.daemon.url)
        changed = [name for name in after if after[name] != before[name]]
        assert changed == (["journal_cursors"] if purged else []), changed
        assert not ledger.gone(self.daemon.url, self.client)
        assert not self.drift(may)
        assert not self.hooks.wrong, self.hooks.wrong[:3]
        assert "Traceback" not in self.daemon.log, self.daemon.tail()
        self.daemon.check_clean()


class Clients(Writers):
    """Coding clients: each writes a transcript, and runs hooks with it, until the end of a ``with`` block.

    Args:
        desk: Where.
        pause: Seconds between two turns of one of them.
    """

    def __init__(self, desk: Desk, pause: float = 0.1) -> None:
        super().__init__(desk.root, desk.ground.chance, 0, COUNT, pause)
        self._hooks = desk.hooks
        self._talks = [desk.talk(f"conversation-{number}") for number in range(COUNT)]

    @override
    def _write(self, number: int, made: int, chance: random.Random) -> int:
        turn(self._talks[number], self._hooks, made, chance)
        return 1


def turn(talk: Talk, hooks: Hooks, made: object, chance: random.Random) -> None:
    """Call a tool, get its result, and answer in two lines that repeat the response's id."""
    call = f"call-{talk.native_id}-{made}"
    given = {"tool_name": "Bash", "tool_use_id": call, "tool_input": {"n": made}}
    talk.calls(call, "Bash", {"n": made})
    if chance.random() < 0.7:
        hooks.run(talk.payload("PreToolUse", **given))
    if chance.random() < 0.7:
        hooks.run(talk.payload("PostToolUse", tool_response={"stdout": "done"}, **given))
    talk.gets(call, "done")
    for tokens in (chance.randrange(1, 5), chance.randrange(5, 50)):
        talk.says(tokens, id=f"msg-{talk.native_id}-{made}")
