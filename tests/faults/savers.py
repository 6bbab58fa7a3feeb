"""A program that saves sessions and mirrors them by a queue of its own, as programs do beside a daemon."""

import json
import random
import sys
import time
from pathlib import Path

from sessionlib.runtime import Runtime

PATIENCE = 60.0
"""Seconds within which all that was saved is to be mirrored once nothing is saved any more."""


def main(root: Path, saves: int, seed: int) -> None:
    """Save so often in the sessions of a root, wait for the queue, tell what it has done, and wait to end.

    What is told is one line of JSON; the end is that of the standard input.
    """
    chance = random.Random(seed)
    with Runtime.open() as runtime:
        compared = runtime.open_project(root.parents[1])
        sessions = sorted(file.parent for file in root.glob("*/state.json"))
        for number in range(saves):
            runtime.manager(chance.choice(sessions)).set_details(topic=f"saver {seed}: {number}")
            time.sleep(chance.uniform(0.0, 0.01))
        is_compared = compared.wait(PATIENCE)
        left = runtime.queue.drain(PATIENCE)
        stats = runtime.queue.stats()
        told = {"left": left, "failed": stats.failed, "owed": stats.owed, "compared": is_compared}
        print(json.dumps({**told, "synced": stats.synced, "written": stats.written}), flush=True)  # noqa: T201
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
