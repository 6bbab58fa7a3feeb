"""Long documents are written one after the other; ordinary ones by all workers at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest

from sessionlib.sync.mirror import Mirror, Outcome
from tests import builders
from tests.mirrors import World


@pytest.mark.parametrize("length", [10, 600_000])
def test_only_one_long_document_at_a_time(
    world: World, root: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """Two workers meet on their way into the database unless what they carry takes much memory."""
    slugs = ["one", "two"]
    for slug in slugs:
        builders.make_session(root, slug, builders.v2(description=slug * length))
    place = world.place(root)
    barrier = Barrier(2)
    real = Mirror._write
    met = []

    def meeting(mirror: Mirror, *arguments: Any) -> Any:
        try:
            barrier.wait(1.0 if length > 100 else 20.0)
            met.append(True)
        except BrokenBarrierError:
            pass
        return real(mirror, *arguments)

    monkeypatch.setattr(Mirror, "_write", meeting)
    with ThreadPoolExecutor(2) as workers:
        results = list(workers.map(lambda slug: world.mirror.sync(place, [slug])[0], slugs))
    assert [result.outcome for result in results] == [Outcome.WRITTEN] * 2
    assert len(met) == (0 if length > 100 else 2)
