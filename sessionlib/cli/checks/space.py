"""Whether there is room on the disks on which our own files lie."""

import os
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from sessionlib.cli.checks.finding import BAD, OK, WARN, Finding
from sessionlib.cli.checks.patient import Patient

LEAST = 64 << 20
"""Bytes without which the next write may fail."""
LITTLE = 1 << 30
"""Bytes below which somebody should look."""

_UNITS = ("bytes", "KiB", "MiB", "GiB")
_STEP = 1024


def look(patient: Patient) -> Iterator[Finding]:
    """Look at each file system that holds state folder, spool or database file, once."""
    places = {"state folder": patient.config.state_dir, "spool": patient.spool.folder}
    file = database_file(patient.config.database_url)
    if file is not None:
        places["database"] = file.parent
    seen: dict[int, list[str]] = {}
    where: dict[int, Path] = {}
    for name, place in places.items():
        there = _nearest(place)
        device = there.stat().st_dev
        seen.setdefault(device, []).append(name)
        where.setdefault(device, there)
    for device, names in seen.items():
        yield _finding(where[device], ", ".join(names))


def database_file(url: str) -> Path | None:
    """Return the file of an SQLite database; None for another one, and for a URL that is none."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return None  # its words may hold the password: whoever opens the database says what is wrong
    if not parsed.drivername.startswith("sqlite") or not parsed.database or "uri" in parsed.query:
        return None
    return Path(parsed.database).absolute()


def in_words(size: int) -> str:
    """Return a number of bytes for people."""
    number, unit = float(size), 0
    while number >= _STEP and unit < len(_UNITS) - 1:
        number, unit = number / _STEP, unit + 1
    return f"{number:.0f} {_UNITS[unit]}" if unit == 0 else f"{number:.1f} {_UNITS[unit]}"


def _finding(place: Path, names: str) -> Finding:
    held = os.statvfs(place)
    free = held.f_bavail * held.f_frsize
    # Some file systems count no files, and say 0 of 0.
    is_out_of_files = held.f_files > 0 and held.f_favail == 0
    facts = {"path": str(place), "free": free, "total": held.f_blocks * held.f_frsize, "for": names}
    says = f"{in_words(free)} are free for {names} ({place})"
    step = f"make room: df -h {place}"
    if is_out_of_files:
        says = f"no more files can be made for {names} ({place})"
        return Finding("space", BAD, says, f"delete files: df -i {place}", free, facts=facts)
    if free < LEAST:
        return Finding("space", BAD, says, step, free, facts=facts)
    return Finding(
        "space", WARN if free < LITTLE else OK, says, step if free < LITTLE else "", free, (), facts
    )


def _nearest(place: Path) -> Path:
    """Return a folder, or the one above it that is there."""
    for folder in (place, *place.parents):
        try:
            folder.stat()
        except OSError:
            continue
        return folder
    return Path("/")
