"""StateManager is killed or refused at each system call of a save and of a session's creation."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from sessionlib.errors import StateExistsError
from sessionlib.state.manager import StateManager
from sessionlib.state.writing import STRAY_AGE_NS
from tests import builders
from tests.faults.ground import Figure, Ground, until
from tests.faults.hands import REFUSED
from tests.faults.machine import need, tmpfs
from tests.faults.nursery import Child

_CALL = re.compile(r"^(?:\d+ +)?([a-z_0-9]+)\((.*)$")
_TOOK = re.compile(r"^(?:\d+ +)?write\(.* = (\d+)", re.MULTILINE)
_RENAME = ("error=ENOSPC", "error=EIO", "error=EDQUOT", "error=EACCES", "error=EXDEV")
_FAULTS = {
    "mkdir": ("error=ENOSPC", "error=EIO", "error=EDQUOT", "error=EACCES"),
    "openat": ("error=ENOSPC", "error=EIO", "error=EDQUOT", "error=EACCES", "error=EMFILE"),
    # That nothing was taken is the one other answer that can be given without the call being done.
    "write": ("error=ENOSPC", "error=EIO", "error=EDQUOT", "retval=0"),
    "fsync": ("error=ENOSPC", "error=EIO", "error=EDQUOT"),
    "close": ("error=EIO", "error=EDQUOT"),
    "rename": _RENAME,
    "renameat": _RENAME,
    "renameat2": _RENAME,
    "unlink": ("error=EIO", "error=EACCES"),
    "flock": ("error=EIO",),
    "fchown": ("error=EIO", "error=EDQUOT", "error=EPERM"),
    "fchmod": ("error=EIO", "error=EACCES", "error=EPERM"),
    "newfstatat": ("error=EIO", "error=EACCES"),
    "getdents64": ("error=EIO",),
    "read": ("error=EIO",),
}
"""What each call may be answered with; others than these have no such errors, or are no file's."""
_STRAY = ".state.json.1-0123456789abcdef.tmp"
"""A temp file of a writer that was killed long ago: each save has one to remove."""
_OWNER = 12345
_PAUSE = 1_000_000
"""Microseconds for which a write is held up."""


class Try(NamedTuple):
    """One try: how it ended, what it said, and what the folder holds: None for a topic is no session."""

    code: int
    said: str
    topic: str | None
    temps: list[str]


class _Bench:
    """A session that a hand saves, or makes, again and again under strace.

    Args:
        ground: Where.
        verb: ``save`` or ``create``.
    """

    def __init__(self, ground: Ground, verb: str) -> None:
        self.ground = ground
        self.verb = verb
        self.session = ground.project() / "one"
        self._log = ground.home / "hand.log"
        self._trace = ground.home / "trace"

    def prepare(self) -> None:
        """Let a save have all to do that a save may have to, and a creation, too."""
        if self.verb == "create":
            shutil.rmtree(self.session.parent, ignore_errors=True)
            return
        if not self.session.exists():
            builders.make_session(self.session.parent, self.session.name, builders.v2(topic="old"))
        if os.geteuid() == 0:
            os.chown(self.session / "state.json", _OWNER, _OWNER)
        stray = self.session / _STRAY
        stray.touch()
        long_ago = time.time_ns() - 2 * STRAY_AGE_NS
        os.utime(stray, ns=(long_ago, long_ago))

    @contextmanager
    def started(self, topic: str, *asked: str) -> Iterator[Child]:
        """Start a hand that is traced as asked; the block tells it to go on, and waits for it at its end."""
        self._log.write_bytes(b"")
        order = ["hand", self.verb, str(self.session), topic]
        child = self.ground.tools.nursery.start(order, dict(os.environ), self._log)
        until(lambda: state_of(child) == "T", "the hand to wait", 10.0)
        command = [need("strace"), "-p", str(child.pid), "-o", str(self._trace), *asked]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            first = tracer.stderr.readline()
            if "attached" not in first:
                os.kill(child.pid, signal.SIGKILL)
                tracer.kill()
                pytest.skip(f"strace cannot attach here: {first.strip()}")
            yield child
            child.wait(20)
            tracer.wait(20)

    def attempt(self, topic: str, *faults: str) -> Try:
        """Try once, with these faults (``call:what:when=nth``)."""
        self.prepare()
        names = ",".join(fault.partition(":")[0] for fault in faults) or "all"
        asked = [option for fault in faults for option in ("-e", f"inject={fault}")]
        with self.started(topic, "-e", f"trace={names}", *asked) as child:
            child.send_signal(signal.SIGCONT)
        temps = {one.name for one in self.session.glob(".*.tmp")} - {_STRAY}
        for name in temps:
            (self.session / name).unlink()
        return Try(child.wait(), self.said, self.topic, sorted(temps))

    @property
    def said(self) -> str:
        """What the hand has said."""
        return self._log.read_text(errors="replace")

    @property
    def traced(self) -> str:
        """What strace has seen."""
        return self._trace.read_text()

    @property
    def topic(self) -> str | None:
        """What the session is about; None if there is none. It is never half a one."""
        file = self.session / "state.json"
        return str(json.loads(file.read_bytes())["topic"]) if file.exists() else None

    def calls(self) -> list[tuple[str, int]]:
        """Return the system calls of one try from when it is told to go on, those of each name numbered."""
        assert self.attempt("first").code == 0
        names = [found[1] for line in self.traced.splitlines() if (found := _CALL.match(line))]
        assert {"openat", "write", "fsync", "flock", "close"} <= set(names), names
        assert {"fchmod", "unlink"} <= set(names) or self.verb == "create", names
        left = [name for name in names if name not in {"exit_group", "restart_syscall"}]
        return [(name, left[: place + 1].count(name)) for place, name in enumerate(left)]

    def check_next(self) -> None:
        """Check that the next try, without a fault, does what is left to do."""
        manager = StateManager(self.session)
        if self.verb == "create":
            there = self.topic is not None
            try:
                manager.create("next")
            except StateExistsError:
                assert there
            else:
                assert not there
                return
        manager.set_details(topic="after it")
        assert self.topic == "after it"


def state_of(child: Child) -> str:
    """Return in one letter what the kernel says that a process does: T when it is stopped."""
    text = Path(f"/proc/{child.pid}/stat").read_text()
    return text.rpartition(")")[2].split()[0]


def killed_at_every_call(ground: Ground, verb: str) -> Figure:
    """Kill a save (or a creation) at each of its system calls: the file is the old or the new one, or none.

    The next one works, whatever was left.
    """
    bench = _Bench(ground, verb)
    calls = bench.calls()
    news = 0
    for number, (name, nth) in enumerate(calls):
        old = None if verb == "create" else bench.topic
        done = bench.attempt(f"new {number}", f"{name}:signal=KILL:when={nth}")
        told = (name, nth, done)
        assert done.code in {0, -9}, told
        assert done.topic in {old, f"new {number}"}, told
        if done.code == 0:
            assert done.topic == f"new {number}", told
        news += done.topic == f"new {number}"
        if done.code:
            bench.check_next()
    assert 0 < news < len(calls)
    words = f"{verb}, at each of its {len(calls)} system calls, {news} were new"
    return Figure("save killed", words, len(calls))


def refused_at_every_call(ground: Ground, verb: str, errors: int) -> Figure:
    """Refuse each file call of a save (or a creation) once with each error: old or new, and no temp file.

    Args:
        ground: Where.
        verb: ``save`` or ``create``.
        errors: How many of a call's errors are tried at most; which, chance says.
    """
    bench = _Bench(ground, verb)
    calls = [one for one in bench.calls() if one[0] in _FAULTS]
    number, failed = 0, 0
    for name, nth in calls:
        for fault in ground.chance.sample(_FAULTS[name], k=min(errors, len(_FAULTS[name]))):
            number += 1
            old = None if verb == "create" else bench.topic
            done = bench.attempt(f"new {number}", f"{name}:{fault}:when={nth}")
            told = (name, nth, fault, done)
            assert done.code in {0, REFUSED}, told
            assert not done.temps, told
            failed += done.code != 0
            if done.code == 0 or "is written, but" in done.said or _made_unread(verb, done):
                assert done.topic == f"new {number}", told
            else:
                assert done.topic == old, told
                assert "cannot" in done.said or "not" in done.said, told
        # What is left lying about tells the calls apart, not the errors.
        bench.check_next()
    assert failed
    words = f"{verb}, each file call with up to {errors} errors, {failed} told to the caller"
    return Figure("save refused", words, number)


def _made_unread(verb: str, done: Try) -> bool:
    """Tell whether a session was made, and only reading it afterwards failed, as the words say."""
    return (
        verb == "create" and done.topic is not None and done.said.startswith(("cannot read", "cannot look"))
    )


def undeletable(ground: Ground) -> Figure:
    """Refuse a save, and then the removal of its temp file: what is told is why the save failed."""
    bench = _Bench(ground, "save")
    calls = bench.calls()
    last = {name: max(nth for each, nth in calls if each == name) for name in ("write", "rename")}
    # The temp file is synced first, and closed before it gets its name.
    order = [name for name, _ in calls]
    closing = order[: order.index("rename")].count("close")
    faults = (
        (f"write:error=ENOSPC:when={last['write']}", "No space left"),
        ("fsync:error=EIO:when=1", "Input/output error"),
        (f"close:error=EDQUOT:when={closing}", "quota exceeded"),
        (f"rename:error=EXDEV:when={last['rename']}", "cross-device"),
    )
    for fault, reason in faults:
        old = bench.topic
        done = bench.attempt("new", fault, "unlink:error=EACCES")
        assert (done.code, done.topic, len(done.temps)) == (REFUSED, old, 1), (fault, done)
        assert reason in done.said, (fault, done)
        bench.check_next()
    return Figure("save refused", "so is the removal of the temp file", len(faults))


def taken_in_parts(ground: Ground, sizes: Sequence[int]) -> Figure:
    """Have the system take only the first bytes of a save's content: the rest follows, the file is whole.

    A limit on the size of files makes it take no more; it is lifted while strace holds up the answer.
    """
    bench = _Bench(ground, "save")
    for most in sizes:
        bench.prepare()
        (bench.session / _STRAY).unlink()
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        held_up = ("-e", "trace=write", "-e", f"inject=write:delay_exit={_PAUSE}:when=1")
        with bench.started(f"taken {most}", *held_up) as child:
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
            child.send_signal(signal.SIGCONT)
            until(lambda: _sizes(bench.session) == [most], f"{most} bytes to be taken", 10.0)  # noqa: B023
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, unlimited)
        assert child.wait() == 0, bench.said
        assert bench.topic == f"taken {most}"
        taken = [int(count) for count in _TOOK.findall(bench.traced)]
        whole = (bench.session / "state.json").stat().st_size
        assert taken == [most, whole - most], taken
    return Figure("save taken in parts", "by a limit on the size of files", len(sizes))


def _sizes(session: Path) -> list[int]:
    """Return the sizes of the temp files there."""
    return [one.stat().st_size for one in session.glob(".*.tmp")]


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
            until(lambda: state_of(child) == "T", "the hand to wait", 10.0)  # noqa: B023 - asked here
            os.kill(child.pid, signal.SIGCONT)
            assert child.wait(20) == REFUSED, log.read_text()
            assert (session / "state.json").read_bytes() == before
            assert not list(session.glob("*.tmp"))
            assert not list(session.glob(".*.tmp"))
    return Figure("save on a full disk", "a part of the write is taken", times)
