"""Agents at work: threads that save sessions through StateManager, and can be told to pause."""

import random
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from sessionlib.errors import SessionlibError
from sessionlib.state.manager import StateManager
from tests import builders


class Writers:
    """So many writers on one sessions root, from the start to the end of a ``with`` block.

    Args:
        root: With sessions named ``s0`` and so on.
        chance: Decides what is written; each writer takes its own seed from it.
        sessions: How many sessions there are.
        count: Of writers.
        pause: Seconds between two saves of one writer.
    """

    def __init__(
        self, root: Path, chance: random.Random, sessions: int, count: int = 4, pause: float = 0.004
    ) -> None:
        self.saves = 0
        self.errors: list[str] = []
        self._root = root
        self._sessions = sessions
        self._pause = pause
        self._may = threading.Event()
        self._stop = False
        self._turns = [threading.Lock() for _ in range(count)]
        self._threads = [
            threading.Thread(target=self._run, args=(number, random.Random(chance.random())), daemon=True)
            for number in range(count)
        ]

    def __enter__(self) -> Self:
        """Let them begin."""
        self._may.set()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let them end; what they could not save is a failure."""
        self._stop = True
        self._may.set()
        for thread in self._threads:
            thread.join(20)
        if kind is None:
            assert not self.errors, self.errors[:3]

    def pause(self) -> None:
        """Let nobody write from now on; returns when all hands are still."""
        self._may.clear()
        for turn in self._turns:
            with turn:
                pass

    def resume(self) -> None:
        """Go on."""
        self._may.set()

    def _run(self, number: int, chance: random.Random) -> None:
        made = 0
        while not self._stop:
            self._may.wait()
            with self._turns[number]:
                # Looked at under the lock: a pause that began meanwhile has waited for it.
                if not self._may.is_set() or self._stop:
                    continue
                try:
                    made += self._write(number, made, chance)
                    self.saves += 1
                except (SessionlibError, OSError) as error:
                    self.errors.append(repr(error))
            time.sleep(self._pause * chance.uniform(0.5, 1.5))

    def _write(self, number: int, made: int, chance: random.Random) -> int:
        slug = f"s{chance.randrange(self._sessions)}"
        what = chance.random()
        manager = StateManager(self._root / slug)
        if what < 0.6:
            manager.set_details(topic=f"writer {number}: {chance.random()}")
        elif what < 0.75:
            manager.add_commit(f"{chance.randrange(2**64):016x}", "Lay another brick")
        elif what < 0.9:
            manager.complete_checkpoint(chance.randrange(1, 5))
        elif made < 40:
            builders.make_session(self._root, f"w{number}-{made}", builders.v2_building())
            return 1
        return 0
