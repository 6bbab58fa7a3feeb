"""StateManager is killed or refused at each system call of a save, and holders of its lock are killed."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import builders
from tests.faults.ground import Figure, Ground, until
from tests.faults.hands import REFUSED
from tests.faults.machine import need, tmpfs
from tests.faults.nursery import Child

_CALL = re.compile(r"^(?:\d+ +)?([a-z_0-9]+)\((.*)$")
_ERRORS = {
    "openat": ("ENOSPC", "EIO", "EDQUOT", "EACCES", "EMFILE"),
    "write": ("ENOSPC", "EIO", "EDQUOT"),
    "fsync": ("ENOSPC", "EIO", "EDQUOT"),
    "rename": ("ENOSPC", "EIO", "EDQUOT", "EACCES", "EXDEV"),
    "renameat": ("ENOSPC", "EIO", "EDQUOT", "EACCES", "EXDEV"),
    "renameat2": ("ENOSPC", "EIO", "EDQUOT", "EACCES", "EXDEV"),
    "flock": ("EIO",),
    "fchmod": ("EIO", "EACCES"),
    "newfstatat": ("EIO", "EACCES"),
    "getdents64": ("EIO",),
    "read": ("EIO",),
}
"""What each call of a save may be refused with; others than these have no such errors, or are no file's."""


class Try(NamedTuple):
    """One save: how it ended, what it said, and what the folder holds."""

    code: int
    said: str
    topic: str
    temps: list[str]


def _tried(ground: Ground, session: Path, number: int, inject: str, trace: Path | None = None) -> Try:
    """Save once under strace."""
    log = ground.home / "hand.log"
    log.write_bytes(b"")
    child = ground.tools.nursery.start(["hand", "save", str(session), f"new {number}"], dict(os.environ), log)
    until(lambda: _state(child) == "T", "the hand to wait", 10.0)
    asked = ["-o", str(trace), "-e", "trace=all"] if trace else ["-o", os.devnull]
    if inject:
        asked += ["-e", f"trace={inject.partition(':')[0]}", "-e", f"inject={inject}"]
    tracer = subprocess.Popen(
        [need("strace"), "-p", str(child.pid), *asked], stderr=subprocess.PIPE, text=True
    )
    with tracer:
        assert tracer.stderr is not None
        first = tracer.stderr.readline()
        if "attached" not in first:
            os.kill(child.pid, signal.SIGKILL)
            tracer.kill()
            pytest.skip(f"strace cannot attach here: {first.strip()}")
        os.kill(child.pid, signal.SIGCONT)
        code = child.wait(20)
        tracer.wait(20)
    found = json.loads((session / "state.json").read_bytes())
    temps = [one.name for one in session.iterdir() if one.name.endswith(".tmp")]
    for name in temps:
        (session / name).unlink()
    return Try(code, log.read_text(errors="replace"), found["topic"], temps)


def _state(child: Child) -> str:
    text = Path(f"/proc/{child.pid}/stat").read_text()
    return text.rpartition(")")[2].split()[0]


def _session(ground: Ground) -> Path:
    return builders.make_session(ground.project(), "one", builders.v2(topic="old"))


def _calls(ground: Ground, session: Path) -> list[str]:
    """Return the system calls of one save, in order, from the moment it is told to go on."""
    trace = ground.home / "trace"
    assert _tried(ground, session, -1, "", trace).code == 0
    names = [found[1] for line in trace.read_text().splitlines() if (found := _CALL.match(line))]
    assert {"openat", "write", "fsync", "flock"} <= set(names), names
    return [name for name in names if name not in {"exit_group", "restart_syscall"}]


def _numbered(names: list[str]) -> list[tuple[str, int]]:
    """Number the calls of each name from 1."""
    seen: dict[str, int] = {}
    numbered = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        numbered.append((name, seen[name]))
    return numbered


def killed_at_every_call(ground: Ground) -> Figure:
    """Kill a save at each of its system calls: the file is the old or the new one, and the next works."""
    need("strace")
    session = _session(ground)
    calls = _numbered(_calls(ground, session))
    topic, news = f"new {-1}", 0
    for number, (name, nth) in enumerate(calls):
        done = _tried(ground, session, number, f"{name}:signal=KILL:when={nth}")
        assert done.code in {0, -9}, (name, nth, done)
        assert done.topic in {topic, f"new {number}"}, (name, nth, done)
        if done.code == 0:
            assert done.topic == f"new {number}", (name, nth, done)
        news += done.topic != topic
        topic = done.topic
    assert 0 < news < len(calls)
    assert _tried(ground, session, 10**6, "").topic == f"new {10**6}"
    return Figure("save killed", f"at each of its {len(calls)} system calls, {news} were new", len(calls))


def refused_at_every_call(ground: Ground) -> Figure:
    """Refuse each file call of a save once, with each error: old or new, and nothing left lying about."""
    need("strace")
    session = _session(ground)
    calls = [one for one in _numbered(_calls(ground, session)) if one[0] in _ERRORS]
    topic, number, failed = f"new {-1}", 0, 0
    for name, nth in calls:
        for error in _ERRORS[name]:
            number += 1
            done = _tried(ground, session, number, f"{name}:error={error}:when={nth}")
            told = (name, nth, error, done)
            assert done.code in {0, REFUSED}, told
            assert not done.temps, told
            if done.code == 0:
                assert done.topic == f"new {number}", told
            elif "is written, but" in done.said:
                assert done.topic == f"new {number}", told
                failed += 1
            else:
                assert done.topic == topic, told
                assert "cannot" in done.said or "not" in done.said, told
                failed += 1
            topic = done.topic
    assert failed
    return Figure("save refused", f"each file call with each error, {failed} told to the caller", number)


def on_a_full_disk(ground: Ground, times: int) -> Figure:
    """Save more than the disk holds: it takes a part of the write and no more; the old file stays."""
    with tmpfs(ground.home / "small", "64k") as folder:
        session = builders.make_session(folder, "one", builders.v2(topic="old"))
        before = (session / "state.json").read_bytes()
        for number in range(times):
            log = ground.home / "hand.log"
            log.write_bytes(b"")
            order = ["hand", "save", str(session), "x" * (20_000 * (number + 1) + 80_000)]
            child = ground.tools.nursery.start(order, dict(os.environ), log)
            until(lambda: _state(child) == "T", "the hand to wait", 10.0)  # noqa: B023 - asked here
            os.kill(child.pid, signal.SIGCONT)
            assert child.wait(20) == REFUSED, log.read_text()
            assert (session / "state.json").read_bytes() == before
            assert not list(session.glob("*.tmp"))
            assert not list(session.glob(".*.tmp"))
    return Figure("save on a full disk", "a part of the write is taken", times)


def locked_counts(ground: Ground, processes: int, each: int, kills: int) -> Figure:
    """Let processes count in one document, and kill some that may hold its lock: none is lost."""
    session = _session(ground)
    running: dict[str, tuple[Child, Path]] = {}
    over: dict[str, tuple[int, int]] = {}

    def start(name: str) -> None:
        log = ground.home / f"count-{name}.log"
        log.touch()
        order = ["hand", "count", str(session), name, str(each)]
        running[name] = ground.tools.nursery.start(order, dict(os.environ), log), log

    def settle() -> None:
        for name, (child, log) in list(running.items()):
            if (code := child.poll()) is not None:
                assert code in {0, -9}, log.read_text()
                over[name] = code, len(log.read_bytes())
                del running[name]

    began = time.monotonic()
    for number in range(processes):
        start(f"p{number}")
    for number in range(kills):
        time.sleep(ground.chance.uniform(0.0, 0.1))
        settle()
        if not running:
            break
        name = ground.chance.choice(sorted(running))
        running[name][0].send_signal(signal.SIGKILL)
        running[name][0].wait(10)
        settle()
        start(f"k{number}")
    until(lambda: settle() or not running, "the counts", 20.0 + processes * each * 0.05)
    counts = json.loads((session / "state.json").read_bytes())["counts"]
    for name, (code, acknowledged) in over.items():
        # What was saved and not acknowledged when it was killed counts, too.
        most = acknowledged + (code != 0)
        assert acknowledged <= counts.get(name, 0) <= most, (name, code, acknowledged, counts.get(name))
    total = sum(acknowledged for _, acknowledged in over.values())
    seconds = time.monotonic() - began
    words = f"{processes} processes, {total:,} locked updates in {seconds:.0f} s"
    return Figure("lock holders killed", words, kills)
