"""A long day: one daemon under work, restarted, reloaded, its log rotated; it needs no more at the end."""

import os
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tests import builders
from tests.faults.clients import Clients, Desk
from tests.faults.ground import Figure, Ground, Keeper, until
from tests.faults.writers import Writers

_SESSIONS = 20
_LIVES = (1 / 6, 1 / 6, 4 / 6)
"""The daemon's lives, as parts of the whole time: the last one is long enough to see a leak."""
_LEAST, _EVERY = 8, 30.0
"""Looks at what the daemon needs in each of its lives; in a long one, seconds between two of them."""
_PAUSE = 0.05
"""Seconds between two saves of each of four writers."""
_WARM = 0.75
"""The part of a life in which what is kept of the last changes fills (some 5 MB at 10,000 of them), and what
the allocator holds grows ever more slowly; memory is judged by the rest, in a life of ten minutes or more."""
_JUDGED = 600.0
_DESCRIPTORS = 2
_CONNECTIONS = 6
"""Connections that the daemon keeps at most (a worker each and two for those who read). On SQLite one takes
two descriptors, and is opened when so many are at work at one moment for the first time."""
_LEAK = 40
"""Bytes a save by which memory may grow once it is warm: less than the path of a folder takes."""


class Need(NamedTuple):
    """What a daemon needs while nobody writes.

    Attributes:
        saves: That were made by then.
        memory: Of its own, in MB.
        descriptors: Open ones, without those of SQLite's files.
        connections: To the database file of SQLite; on PostgreSQL each is one of the descriptors.
        watches: That the kernel holds for it below its watched folders.
        folders: That there are to be watched.
    """

    saves: int
    memory: float
    descriptors: int
    connections: int
    watches: int
    folders: int


def soak(ground: Ground, kind: str, seconds: float) -> Figure:
    """Let agents and clients work for so long, in three lives of a daemon; its needs stay as they are."""
    desk = Desk(ground, ground.tools.new_database(kind))
    daemon = desk.daemon
    config = Path(daemon.environ["SESSIOND_CONFIG"])
    config.write_text(f'{config.read_text()}[log]\nfile = "{daemon.log_path}"\n')
    leaks: list[float] = []
    writers = Writers(desk.root, ground.chance, _SESSIONS, pause=_PAUSE)
    clients = Clients(desk, pause=0.5)
    _begin_anew(desk.root)
    with writers, clients:
        for life, part in enumerate(_LIVES):
            leak = _leak(_lived(desk, writers, clients, life, seconds * part))
            if seconds * part >= _JUDGED:
                leaks.append(leak)
    daemon.start()
    daemon.recovered()
    desk.recovered()
    desk.check_clean()
    old_logs = list(daemon.log_path.parent.glob(f"{daemon.log_path.stem}.*-*"))
    assert not any("Traceback" in path.read_text() for path in old_logs)
    assert all(leak < _LEAK for leak in leaks), leaks
    memory = "".join(f", memory {leak:+.0f} bytes a save" for leak in leaks)
    words = (
        f"{kind}, {seconds / 60:.1f} min, {writers.saves:,} saves, {clients.saves:,} turns of clients, "
        f"{len(_LIVES)} starts, {len(old_logs)} reloads and rotations{memory}"
    )
    return Figure("soak", words, 1)


def _lived(desk: Desk, writers: Writers, clients: Clients, life: int, seconds: float) -> list[Need]:
    """Let a daemon live for so long while all work; return what it needed now and then."""
    daemon = desk.daemon
    daemon.start()
    needs: list[Need] = []
    looks = max(_LEAST, round(seconds / _EVERY))
    for look in range(looks):
        time.sleep(seconds / looks)
        _replace_folders(desk.root, life, look)
        if look % 4 == 1:
            _rotate(daemon, f"{life}-{look}")
        writers.pause()
        clients.pause()
        daemon.recovered(time.monotonic())
        desk.recovered(time.monotonic())
        needs.append(_need(daemon, desk.root, writers.saves))
        if look == looks // 2:
            daemon.ctl("verify", str(desk.ground.code))
        _begin_anew(desk.root)
        writers.resume()
        clients.resume()
    assert daemon.end() == 0
    return needs


def _begin_anew(root: Path) -> None:
    """Give the sessions the content of their first day: memory must not follow documents that grow."""
    for number in range(_SESSIONS):
        builders.make_session(root, f"s{number}", builders.v2_building(session_id=f"s{number}"))


def _replace_folders(root: Path, life: int, look: int) -> None:
    """Let two sessions come, and those go that came before."""
    for number in range(2):
        builders.make_session(root, f"turn-{life}-{look}-{number}", builders.v2_building())
        old = root / f"turn-{life}-{look - 1}-{number}"
        if old.exists():
            shutil.rmtree(old)


def _rotate(daemon: Keeper, suffix: str) -> None:
    """Move the log away, as logrotate does, and ask for a reload; both are taken up."""
    daemon.log_path.rename(daemon.log_path.with_suffix(f".{suffix}"))
    assert daemon.child is not None
    daemon.child.send_signal(signal.SIGHUP)
    until(lambda: daemon.log_path.exists() and "event=config.reload" in daemon.log, "a reload", 10.0)


def _need(daemon: Keeper, root: Path, saves: int) -> Need:
    status = daemon.client.status()
    proc = Path("/proc") / str(status.pid)
    pages = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    opened = list(_opened(proc))
    file = daemon.url.removeprefix("sqlite:///")
    watched = (proc / "fdinfo" / str(status.watch_descriptor)).read_text().count("inotify wd:")
    assert watched == status.watches
    return Need(
        saves,
        int(pages["RssAnon"].split()[0]) / 1024,
        sum(name not in {file, f"{file}-wal", f"{file}-shm"} for name in opened),
        opened.count(file),
        watched,
        sum(1 for folder, _, _ in os.walk(root)),
    )


def _opened(proc: Path) -> Iterator[str]:
    for descriptor in (proc / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            yield str(descriptor.readlink())


def _leak(needs: list[Need]) -> float:
    """Return by how many bytes a save memory grows once warm; descriptors and watches are as they were."""
    counts = [(one.descriptors, one.connections) for one in needs]
    usual = statistics.median(one.descriptors for one in needs)
    assert all(abs(count - usual) <= _DESCRIPTORS for count, _ in counts), counts
    assert all(connections <= _CONNECTIONS for _, connections in counts), counts
    beside = {one.watches - one.folders for one in needs}
    assert len(beside) == 1, [(one.watches, one.folders) for one in needs]
    for name, words in (
        ("memory, MB", [f"{one.memory:.1f}" for one in needs]),
        ("descriptors", [f"{descriptors}+{connections}" for descriptors, connections in counts]),
    ):
        print(f"{name}:", *words, file=sys.stderr, flush=True)  # noqa: T201
    warm = needs[int(len(needs) * _WARM) :]
    slope = statistics.linear_regression([one.saves for one in warm], [one.memory for one in warm]).slope
    return slope * 2**20
