"""Steps of a round that record what they are asked for, for tests of the reconcile thread.

A test module imports the fixtures it uses.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from sessiond.rounds import Rounds, Steps
from sessionlib.sync.picture import Picture
from sessionlib.sync.places import Place
from sessionlib.sync.reconcile import Report

NOBODY = UUID(int=0)
A, B, C = Path("/p/a"), Path("/p/b"), Path("/p/c")


class Fake:
    """Steps that record what was reconciled, and can be told to fail."""

    def __init__(self) -> None:
        self.roots = [A, B]
        self.done: list[Path] = []
        self.vouched = 0
        self.failures: list[Exception] = []
        self.reports: dict[Path, dict[str, Any]] = {}
        self.settled = True
        self.cleaned: list[int] = []
        self.revived: list[int] = []
        self.made_anew = False
        self.compared: list[Report] = []
        self.believed: list[bool] = []
        self.pictured: list[list[Path]] = []
        self.saw_picture: list[bool] = []
        self.before: dict[Path, Callable[[], object]] = {}

    def steps(self) -> Steps:
        """Return the steps to hand to Rounds."""
        return Steps(
            discover=lambda: self.roots,
            picture=self.picture,
            reconcile=self.reconcile,
            compared=self.compared.append,
            vouch=self.vouch,
            settled=lambda: self.settled,
            clean=lambda: self.cleaned.append(len(self.done)),
            revive=lambda: self.revived.append(len(self.done)) or self.made_anew,
        )

    def vouch(self) -> None:
        """Count a heartbeat."""
        self.vouched += 1

    def picture(self, paths: Sequence[Path]) -> Picture:
        """Record of which roots what is stored was read at once."""
        self.pictured.append(list(paths))
        return Picture({})

    def reconcile(self, path: Path, accept_missing: bool, picture: Picture | None) -> Report:
        """Record a comparison, or fail as told."""
        self.believed.append(accept_missing)
        self.saw_picture.append(picture is not None)
        self.before.pop(path, lambda: None)()
        if self.failures:
            raise self.failures.pop(0)
        self.done.append(path)
        place = Place(NOBODY, NOBODY, path.parent, path.name, path)
        return Report(place, **self.reports.pop(path, {}))


@pytest.fixture(name="fake")
def fake_fixture() -> Fake:
    """The steps of this test."""
    return Fake()


@pytest.fixture(name="rounds")
def rounds_fixture(fake: Fake) -> Iterator[Rounds]:
    """Rounds that run, with a timer far away."""
    made = Rounds(fake.steps(), interval=3600)
    made.start()
    yield made
    made.stop()
