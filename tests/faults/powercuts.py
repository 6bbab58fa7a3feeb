"""A power cut: the file system is shut down without a last write, and mounted again."""

import fcntl
import json
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sessionlib.state.manager import StateManager
from tests import builders
from tests.faults import hands
from tests.faults.ground import Figure, Ground, until
from tests.faults.machine import need

_SHUTDOWN = 0x8004587D
"""FS_IOC_SHUTDOWN."""
_NO_LOG_FLUSH = 2
_MAKE = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}
_SIZES = {"ext4": 32 << 20, "xfs": 320 << 20}
KINDS = ("ext4", "ext4,noauto_da_alloc", "xfs")
"""File systems with their options; ext4 without that one writes a replaced file early by itself."""
_LONGEST = 0.1
"""Seconds after its first save within which the power is cut under a process that saves."""


class _Disk:
    """An image of a file system that is mounted for each life between two cuts.

    Args:
        ground: Where.
        kind: One of `KINDS`.
    """

    def __init__(self, ground: Ground, kind: str) -> None:
        self.image, self.folder = ground.home / "image", ground.home / "mounted"
        name, _, options = kind.partition(",")
        self._options = ",".join(["loop", *options.split()])
        for program in ("losetup", "mount", _MAKE[name][0]):
            need(program)
        if os.geteuid() != 0:
            pytest.skip("only root may mount")
        self.folder.mkdir()
        with self.image.open("wb") as file:
            file.truncate(_SIZES[name])
        subprocess.run([*_MAKE[name], str(self.image)], check=True, capture_output=True)

    @contextmanager
    def mounted(self) -> Iterator[Path]:
        """Give the mounted file system."""
        command = ["mount", "-o", self._options, str(self.image), str(self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"loop mounts are not permitted here: {done.stderr.strip()}")
        try:
            yield self.folder
        finally:
            subprocess.run(["umount", str(self.folder)], check=True, capture_output=True)

    def cut(self) -> None:
        """Cut the power: what was not written by now never will be."""
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(fd)


def cut(ground: Ground, kind: str, cuts: int, save: Callable[[Path, str], None] | None = None) -> Figure:
    """Save sessions, cut the power at once, and look: what was acknowledged is there, and nothing is empty.

    Args:
        ground: Where.
        kind: One of `KINDS`.
        cuts: How often.
        save: Saves a session's topic; StateManager without.
    """
    disk = _Disk(ground, kind)
    write = save or (lambda session, topic: bool(StateManager(session).set_details(topic=topic)) or None)
    wanted: dict[str, str] = {}
    lost = 0
    for number in range(cuts):
        with disk.mounted() as folder:
            lost += _lost(folder, wanted)
            for name in (f"new-{number}", *ground.chance.sample(sorted(wanted), k=min(4, len(wanted)))):
                session = folder / name
                if not session.exists():
                    builders.make_session(folder, name)
                    # What the builder has written is nobody's promise.
                    os.sync()
                write(session, f"cut {number}")
                wanted[name] = f"cut {number}"
            disk.cut()
    with disk.mounted() as folder:
        lost += _lost(folder, wanted)
    return Figure("power cut", f"{kind}, five saves before each", cuts, lost)


def _lost(folder: Path, wanted: dict[str, str]) -> int:
    """Count the sessions that are not as they were acknowledged to be."""
    lost = 0
    for name, topic in wanted.items():
        try:
            lost += json.loads((folder / name / "state.json").read_bytes())["topic"] != topic
        except (OSError, ValueError):
            lost += 1
    return lost


def cut_while_saving(ground: Ground, kind: str, cuts: int, *, careless: bool = False) -> Figure:
    """Cut the power at any moment while a process saves and makes sessions, one after the other.

    Afterwards each session holds what was acknowledged last, or what was under way, and holds it whole. What
    is lost ends it.

    Args:
        ground: Where.
        kind: One of `KINDS`.
        cuts: How often.
        careless: Let the process sync nothing: then something is lost, or this is no power cut.
    """
    disk = _Disk(ground, kind)
    with disk.mounted() as folder:
        builders.make_session(folder, "one", builders.v2(topic="0", description=hands.words(0)))
    kept, first, lost, made, saves, later = 0, 1, 0, 0, 0, 0
    while made < cuts and not lost:
        with disk.mounted():
            done, under_way = _toiled(ground, disk, first, careless=careless)
        made += 1
        saves += len(done)
        first = under_way[-1] + 1
        wanted = {"one": kept} | {hands.place(number): number for number in done}
        with disk.mounted() as folder:
            for name in {*wanted, *map(hands.place, under_way)}:
                found = _number(folder / name)
                is_later = found in under_way and hands.place(found) == name
                later += is_later
                lost += found != wanted.get(name) and not is_later
            kept = _number(folder / "one") or 0
            for session in folder.glob("new-*"):
                shutil.rmtree(session)
    words = f"{kind}, at any moment of {saves:,} saves; {later} times what was under way was there"
    return Figure("power cut", words, made, lost)


def _toiled(ground: Ground, disk: _Disk, first: int, *, careless: bool) -> tuple[list[int], list[int]]:
    """Cut the power under a process that saves numbers; return those acknowledged by then, and the others.

    No process outlives a real cut, to acknowledge a save that was under way; on XFS the sync of a folder may
    even say that it is done while its log is thrown away.
    """
    log = ground.home / f"toil-{first}.log"
    log.touch()
    order = ["hand", "toil", str(disk.folder), str(first), "careless" if careless else "careful"]
    child = ground.tools.nursery.start(order, dict(os.environ), log)
    until(lambda: log.stat().st_size, "the first save", 20.0, log.read_text)
    time.sleep(ground.chance.uniform(0.0, _LONGEST))
    done = log.read_text().splitlines()
    disk.cut()
    # Its next save fails, and with that it ends.
    assert child.wait(20) == hands.REFUSED, log.read_text()
    end = first + len(log.read_text().splitlines())
    acknowledged = [int(line) for line in done]
    return acknowledged, list(range(acknowledged[-1] + 1, end + 1))


def _number(session: Path) -> int | None:
    """Return the number that a session holds: None if there is no session, -1 if it is not a whole one."""
    try:
        found = json.loads((session / "state.json").read_bytes())
        number = int(found["topic"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError):
        return -1
    return number if found["description"] == hands.words(number) else -1
