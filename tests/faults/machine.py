"""What the faults ask of the machine: small file systems, and whether it allows them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"not permitted here: {' '.join(command[:3])}: {done.stderr.strip()}")


def need(program: str) -> str:
    """Return the path of a program; skip the test where there is none."""
    found = shutil.which(program)
    if sys.platform != "linux" or found is None:
        pytest.skip(f"no {program} here")
    return found


@contextmanager
def tmpfs(folder: Path, size: str, mode: str = "0700") -> Iterator[Path]:
    """Mount a small file system on a folder until the end of the block; skip where that is not allowed."""
    need("mount")
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    folder.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={size},mode={mode}", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


@contextmanager
def bound(source: Path, folder: Path) -> Iterator[None]:
    """Mount a folder on another one until the end of the block; skip where that is not allowed."""
    need("mount")
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    _run("mount", "--bind", str(source), str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)
