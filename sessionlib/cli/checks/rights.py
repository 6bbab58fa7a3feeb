"""Whether our own files are ours alone: state folder, socket, database, token, configuration, spool, log."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from sessionlib.cli.checks.finding import BAD, OK, Finding
from sessionlib.cli.checks.patient import Patient
from sessionlib.cli.checks.space import database_file
from sessionlib.config import urls

_FOLDER, _FILE = 0o700, 0o600
_READ_BY_GROUP = 0o640
"""A log may be given to a group of readers, as rotation often does."""


class Own(NamedTuple):
    """A file or folder of ours: what it is, where it is, and the widest mode it may have."""

    name: str
    path: Path
    most: int


class Fault(NamedTuple):
    """What is wrong with one of them: `mode` is the one it should have, None where its owner is wrong."""

    own: Own
    says: str
    mode: int | None


def look(patient: Patient) -> Iterator[Finding]:
    """Look at each that is there."""
    there = [one for one in owned(patient) if os.path.lexists(one.path)]
    faults = [fault for one in there if (fault := fault_of(one)) is not None]
    for fault in faults:
        path = quote(str(fault.own.path))
        step = f"sudo chown {os.geteuid()} {path}" if fault.mode is None else f"chmod {fault.mode:o} {path}"
        yield Finding(
            "rights", BAD, fault.says, f"{step} (or: sessionctl doctor --fix)" if fault.mode else step
        )
    if not faults:
        names = ", ".join(dict.fromkeys(one.name for one in there))
        yield Finding("rights", OK, f"ours alone: {names or 'nothing is there yet'}", number=len(there))


def owned(patient: Patient) -> Iterator[Own]:
    """Yield what must be ours alone; some of it need not be there."""
    config, places = patient.config, patient.config.locations
    yield Own("state folder", places.state_dir, _FOLDER)
    yield Own("runtime folder", places.runtime_dir, _FOLDER)
    yield Own("socket", places.socket, _FILE)
    yield Own("lock", places.lock_file, _FILE)
    yield Own("status file", places.status_file, _FILE)
    yield Own("log", config.log_file, _READ_BY_GROUP)
    yield Own("spool", places.spool, _FOLDER)
    yield Own("token", places.token_file, _FILE)
    if config.control.token_file is not None and not config.origin("control.token_file").startswith("cred"):
        yield Own("token", config.control.token_file, _FILE)
    if config.database.url_file is not None:
        yield Own("file with the database's URL", config.database.url_file, _FILE)
    # Without a secret in it a configuration may be read by everybody.
    if config.origin("database.url") == config.source and urls.has_password(config.database.url):
        yield Own("configuration", Path(config.source), _FILE)
    file = database_file(config.database_url)
    if file is not None:
        for end in ("", "-wal", "-shm"):
            yield Own("database", file.with_name(f"{file.name}{end}"), _FILE)


def fault_of(own: Own) -> Fault | None:
    """Return what is wrong with one that is there; None when nothing is."""
    try:
        seen = own.path.lstat()
    except OSError:
        return None
    if stat.S_ISLNK(seen.st_mode):
        try:
            seen = own.path.stat()
        except OSError:
            return Fault(own, f"the {own.name} {own.path} is a link that leads nowhere", None)
    if seen.st_uid != os.geteuid():
        return Fault(own, f"the {own.name} {own.path} belongs to another user (uid {seen.st_uid})", None)
    mode = stat.S_IMODE(seen.st_mode)
    if mode & ~own.most & 0o077:
        return Fault(own, f"the {own.name} {own.path} is open to others (mode {mode:04o})", mode & own.most)
    return None
