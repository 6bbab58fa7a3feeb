"""Transcripts are rewritten, cut, deleted, or written on a full disk, while a daemon reads them."""

import json
import os
import random
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from typing_extensions import override

from tests.faults.clients import COUNT, Desk
from tests.faults.ground import Figure, Ground
from tests.faults.ledger import Ledger
from tests.faults.machine import tmpfs
from tests.faults.refusals import fill
from tests.faults.writers import Writers
from tests.talks import MODEL, Talk


class Changers(Writers):
    """Clients that also rewrite, cut and delete their transcripts, until the end of a ``with`` block.

    Attributes:
        may: All that they have ever written.

    Args:
        desk: Where.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk.root, desk.ground.chance, 0, COUNT, 0.01)
        self.may = Ledger()
        self.done: Counter[str] = Counter()
        self._talks = [desk.talk(f"conversation-{number}") for number in range(COUNT)]

    @override
    def _write(self, number: int, made: int, chance: random.Random) -> int:
        talk = self._talks[number]
        path = talk.path
        how = chance.choices(list(_CHANGES), list(_CHANGES.values()))[0] if path.exists() else "appended"
        content = path.read_bytes() if path.exists() else b""
        lines = content.splitlines(keepends=True)
        added = [_answer(talk, f"{made}-{part}", chance) for part in range(chance.randrange(1, 4))]
        for line in added:
            self.may.line(talk.native_id, line)
        if how == "appended":
            path.parent.mkdir(parents=True, exist_ok=True)
            _append(path, b"".join(added))
        elif how == "torn":
            # Half of a line, then the rest of it: the daemon may look in between.
            half = chance.randrange(1, len(added[0]))
            _append(path, added[0][:half])
            time.sleep(chance.uniform(0.0, 0.1))
            _append(path, added[0][half:])
        elif how == "rewritten":
            kept = [b" " + line for line in lines if chance.random() < 0.8]
            path.write_bytes(b"".join([*kept, *added]))
        elif how == "replaced":
            beside = path.with_suffix(".new")
            beside.write_bytes(b"".join([*added, *lines[len(lines) // 2 :]]))
            beside.rename(path)
        elif how == "cut":
            os.truncate(path, sum(map(len, lines[: chance.randrange(len(lines) + 1)])))
            _append(path, b"".join(added))
        elif how == "cut in a line":
            os.truncate(path, chance.randrange(len(content) + 1))
            _append(path, b"\n" + b"".join(added))
        else:
            path.unlink()
        self.done[how] += 1
        return 1


_CHANGES = {
    "appended": 8,
    "torn": 2,
    "rewritten": 1,
    "replaced": 1,
    "cut": 1,
    "cut in a line": 1,
    "purged": 1,
}
"""What is done to a transcript, and how often beside the others."""


def _answer(talk: Talk, mark: str, chance: random.Random) -> bytes:
    """Return a line of a response that calls a tool, written by nobody yet."""
    block = {"type": "tool_use", "id": f"call-{talk.native_id}-{mark}", "name": "Bash", "input": {"n": mark}}
    message = {
        "id": f"msg-{talk.native_id}-{mark}",
        "model": MODEL,
        "content": [block, {"type": "text", "text": "x" * chance.randrange(2000)}],
        "usage": {"output_tokens": chance.randrange(1, 100)},
    }
    return json.dumps(talk.record("assistant", message=message)).encode() + b"\n"


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def changed(ground: Ground, kind: str, rounds: int) -> Figure:
    """Rewrite, replace, cut and delete transcripts while the daemon reads them; it has what stood at rest."""
    desk = Desk(ground, ground.tools.new_database(kind))
    desk.daemon.start()
    longest = 0.0
    with Changers(desk) as changers:
        for _ in range(rounds):
            time.sleep(ground.chance.uniform(0.3, 0.8))
            changers.pause()
            longest = max(longest, desk.recovered(time.monotonic(), changers.may))
            changers.resume()
        changers.pause()
        longest = max(longest, desk.recovered(time.monotonic(), changers.may))
    desk.talk("conversation-0").path.unlink(missing_ok=True)
    desk.check_clean(changers.may)
    words = ", ".join(f"{count:,} {how}" for how, count in sorted(changers.done.items()))
    return Figure("journals: transcripts change", f"{kind}: {words}", changers.saves, 0, longest)


def client_disk_full(ground: Ground, rounds: int) -> Figure:
    """Fill the disk a client writes on: it leaves half a line, and with room again mends it in some way."""
    with tmpfs(ground.home / "client", "1m") as folder:
        desk = Desk(ground, ground.tools.new_database("sqlite"))
        talk, ballast = desk.talk("conversation-0"), folder / "ballast"
        talk.says(1, id="first")
        desk.daemon.start()
        desk.recovered()
        longest, done = 0.0, 0
        for number in range(rounds):
            for how in ("goes on", "takes it back", "begins a new line", "begins at once"):
                fill(ballast)
                os.truncate(ballast, ballast.stat().st_size - 4096)
                line = _answer(talk, f"{number}-{how}", ground.chance)[:-2] + b' , "x": "%s"}\n' % (
                    b"x" * 9000
                )
                before = talk.path.stat().st_size
                half = _squeeze(talk.path, line)
                assert 0 < half < len(line)
                longest = max(longest, desk.recovered(time.monotonic()))
                ballast.unlink()
                if how == "goes on":
                    _append(talk.path, line[half:])
                elif how == "takes it back":
                    os.truncate(talk.path, before)
                    _append(talk.path, line)
                else:
                    # At once: what it makes of both is no line, and says nothing to anybody.
                    _append(talk.path, b"\n" + line if how == "begins a new line" else line)
                talk.says(2, id=f"after-{number}-{how}")
                longest = max(longest, desk.recovered(time.monotonic()))
                done += 1
        desk.check_clean()
    return Figure("journals: client's disk full", "half a line, mended in four ways", done, 0, longest)


def _squeeze(path: Path, line: bytes) -> int:
    """Write as much of a line as there is room for, and return how much that was."""
    with path.open("ab", buffering=0) as file, suppress(OSError):
        written = 0
        while written < len(line):
            written += file.write(line[written:])
    return written
