"""Where a table was measured, in one line: figures of two machines are not to be compared."""

import os
import platform
import sqlite3
import subprocess
import tempfile
from pathlib import Path

from tests import postgres


def described() -> str:
    """Return cores, kernel, versions, the file system of the temporary folder, and the load now."""
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{len(os.sched_getaffinity(0))} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {_postgres()}, "
        f"temporary files on {_file_system(Path(tempfile.gettempdir()))}, load average {load}"
    )


def _postgres() -> str:
    binaries = postgres.find_binaries()
    if binaries is None:
        return "no PostgreSQL"
    said = subprocess.run(
        [str(binaries / "postgres"), "--version"], capture_output=True, text=True, check=True
    )
    return "PostgreSQL " + said.stdout.split(")", 1)[-1].split()[0]


def _file_system(path: Path) -> str:
    """Return the type of the file system a path lies in: that of the longest mount point above it."""
    mounts = [entry.split() for entry in Path("/proc/self/mounts").read_text().splitlines()]
    above = [(mount[1], mount[2]) for mount in mounts if path.is_relative_to(mount[1])]
    return max(above, key=lambda mount: len(mount[0]))[1] if above else "?"
