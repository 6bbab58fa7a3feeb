"""A power cut: the file system is shut down without a last write, and mounted again."""

import fcntl
import json
import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionlib.state.manager import StateManager
from tests import builders
from tests.faults.ground import Figure, Ground
from tests.faults.machine import need

_SHUTDOWN = 0x8004587D
"""FS_IOC_SHUTDOWN."""
_NO_LOG_FLUSH = 2
_MAKE = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}
_SIZES = {"ext4": 32 << 20, "xfs": 320 << 20}


def _mount(image: Path, folder: Path) -> None:
    done = subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"loop mounts are not permitted here: {done.stderr.strip()}")


def _cut(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
    finally:
        os.close(fd)


def cut(ground: Ground, kind: str, cuts: int, save: Callable[[Path, str], None] | None = None) -> Figure:
    """Save sessions, cut the power at once, and look: what was acknowledged is there, and nothing is empty.

    Args:
        ground: Where.
        kind: Of file system.
        cuts: How often.
        save: Saves a session's topic; StateManager without.
    """
    for program in ("losetup", "mount", _MAKE[kind][0]):
        need(program)
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    image, folder = ground.home / "image", ground.home / "mounted"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(_SIZES[kind])
    subprocess.run([*_MAKE[kind], str(image)], check=True, capture_output=True)
    write = save or (lambda session, topic: bool(StateManager(session).set_details(topic=topic)) or None)
    wanted: dict[str, str] = {}
    lost = 0
    for number in range(cuts):
        _mount(image, folder)
        try:
            lost += _lost(folder, wanted)
            for name in (f"new-{number}", *ground.chance.sample(sorted(wanted), k=min(4, len(wanted)))):
                session = folder / name
                if not session.exists():
                    builders.make_session(folder, name)
                    # What the builder has written is nobody's promise.
                    os.sync()
                write(session, f"cut {number}")
                wanted[name] = f"cut {number}"
            _cut(folder)
        finally:
            subprocess.run(["umount", str(folder)], check=True, capture_output=True)
    _mount(image, folder)
    try:
        lost += _lost(folder, wanted)
    finally:
        subprocess.run(["umount", str(folder)], check=True, capture_output=True)
    shutil.rmtree(folder)
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
