"""Who wakes the daemon: its own reading and writing does not, a save does once.

By the daemon's own counts of the kernel's events it has read, of the hints they gave, of looks at session
folders and of rows written.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import corpus, daemon
from benchmarks.cases import Figure, Options, Row

NAME = "wakes"
GOAL = "our own reading and writing wakes nobody; a save is one hint and one write"

_ASKED = 20
_QUIET = 0.3
"""Seconds between two saves and after the last: more than a flurry takes, and the second look after it."""


def run(options: Options) -> Iterator[Row]:
    """Count on each database."""
    sessions, saves = (20, 5) if options.quick else (1000, 50)
    for kind in options.databases:
        with tempfile.TemporaryDirectory() as folder, daemon.databases(kind) as (url, _):
            home = Path(folder)
            folders = corpus.make_sessions(home / "code" / "project", sessions)
            with daemon.running(home / "code", url, home / "state") as process:
                imported = process.settled()
                for _ in range(_ASKED):
                    process.client.rescan()
                    process.client.sessions()
                read = process.settled()
                for number in range(saves):
                    content = corpus.encoded(corpus.document(number, step=1))
                    corpus.replace(folders[number] / "state.json", content)
                    time.sleep(_QUIET)
                saved = process.settled()
        own: dict[str, Figure] = {
            "events while importing": imported.events,
            f"in {_ASKED} comparisons of everything": read.events - imported.events,
        }
        yield Row(f"our own reading and writing, {sessions:,} sessions, {kind}", own, reached=not read.events)
        each: dict[str, Figure] = {
            "events": (saved.events - read.events) / saves,
            "hints": (saved.hints - read.hints) / saves,
            "looks": (saved.queue.synced - read.queue.synced) / saves,
            "writes": (saved.queue.written - read.queue.written) / saves,
        }
        once = each["hints"] == 1 and each["writes"] == 1
        yield Row(f"one atomic save, {kind}", each, reached=once)
