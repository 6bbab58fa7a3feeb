"""Mutants: spoilt files drawn from a seed and a number, so that each can be made again, kept and replayed."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Self

from tests import builders
from tests.hostile import scraps, trees
from tests.hostile.corpus import corpus
from tests.hostile.entry import PLAN, RUN, STATE
from tests.hostile.sizes import full_document

_SMALL = 64_000
_FILES = (STATE, STATE, STATE, STATE, STATE, STATE, STATE, PLAN, RUN)
"""Which file is spoilt; seven times of nine the session's own."""


@dataclass(frozen=True)
class Mutant:
    """One spoilt file.

    Attributes:
        name: ``<seed>-<number>``.
        file: Which file of the session it is.
        data: Its bytes.
        in_place: Written over the good file, instead of renamed onto it.
    """

    name: str
    file: str
    data: bytes
    in_place: bool

    @classmethod
    def drawn(cls, seed: int, number: int) -> Self:
        """Draw a mutant; the same for the same seed and number."""
        rng = Random(f"{seed}-{number}")
        file = rng.choice(_FILES)
        if rng.random() < 0.5:
            data = trees.mutated(rng, rng.choice(_documents(file)))
        else:
            data = scraps.mutated(rng, rng.choice(_scraps(file)), _scraps(file))
        return cls(f"{seed}-{number}", file, data, rng.random() < 0.3)

    def write(self, folder: Path) -> None:
        """Put it into a session folder."""
        path = folder / self.file
        if self.in_place:
            path.write_bytes(self.data)
        else:
            builders.write_json(path, self.data)

    def keep(self, folder: Path, problems: Sequence[str]) -> Path:
        """Write it, with what went wrong, to a file for `kept`."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"mutant-{self.name}.json"
        data = base64.b64encode(self.data).decode()
        told = {"problems": problems, "file": self.file, "in_place": self.in_place, "data": data}
        path.write_text(json.dumps(told, indent=1) + "\n")
        return path

    @classmethod
    def kept(cls, path: Path) -> Self:
        """Read a mutant that was kept."""
        told = json.loads(path.read_text())
        name = path.stem.removeprefix("mutant-")
        return cls(name, told["file"], base64.b64decode(told["data"]), told["in_place"])


@cache
def _documents(file: str) -> tuple[Any, ...]:
    if file == PLAN:
        return builders.plan(5), builders.plan_tranches(3)
    if file == RUN:
        return (builders.research_run(), full_document())
    return (full_document(), full_document(), *(make() for make in builders.SESSIONS.values()))


@cache
def _scraps(file: str) -> tuple[bytes, ...]:
    """Return files to mutate and splice: half of them good, half from the corpus."""
    good = tuple(json.dumps(document, indent=1).encode() for document in _documents(file))
    hostile = tuple(
        data
        for entry in corpus()
        if entry.file == STATE and not entry.length and "00" not in entry.name and "MB" not in entry.name
        for data in (entry.make(),)
        if len(data) <= _SMALL
    )
    return good * (len(hostile) // len(good)) + hostile
