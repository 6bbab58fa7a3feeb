"""A process that syncs, for tests that run several or kill one: ``python -m tests.syncing URL ROOT HOW``.

HOW is ``until:FILE`` (sync every session again and again until the file is there, then once more) or
``die:N`` (sync all once and be killed by SIGKILL before the N-th bulk write).
"""

import itertools
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sessionlib.db import bulk
from sessionlib.db.engine import Database
from sessionlib.sync.mirror import Mirror
from sessionlib.sync.registrar import Registrar
from tests.mirrors import HOST


def _die_before(count: int) -> None:
    numbers = itertools.count(1)

    def counting(real: Callable[..., Any], *args: Any, **more: Any) -> Any:
        if args[2] and next(numbers) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **more)

    for name in ("upsert", "insert_new", "prune"):
        setattr(bulk, name, partial(counting, getattr(bulk, name)))


def main(url: str, root: Path, how: str) -> None:
    database = Database(url)
    place = Registrar(database, HOST).place_of(root)
    mirror = Mirror(database)
    slugs = sorted(entry.name for entry in root.iterdir())
    kind, _, argument = how.partition(":")
    if kind == "die":
        _die_before(int(argument))
    else:
        (root.parent / f"ready-{os.getpid()}").touch()
        while not Path(argument).exists():
            mirror.sync(place, slugs)
    mirror.sync(place, slugs)
    database.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
