"""Mutation fuzzing end to end: real files, the wired sync path, both databases, every row compared.

``SESSIOND_TEST_MUTANTS`` says how many mutants each database gets (5,000), ``SESSIOND_TEST_SEED`` which ones;
without it pytest-randomly's seed, which pytest prints, decides. `python -m tests.hostile.fuzz` tries more.
"""

import os
import random
from pathlib import Path

import pytest

from tests.hostile import campaign
from tests.hostile.entry import PLAN, RUN, STATE
from tests.hostile.mutants import Mutant

PARTS = 5
MUTANTS = int(os.environ.get("SESSIOND_TEST_MUTANTS", "5000"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_mutants_do_no_harm(tmp_path: Path, database_url: str, part: int) -> None:
    """Each session has the rows of its files or an error in clear words, and all is well once they heal."""
    seed = int(os.environ.get("SESSIOND_TEST_SEED", random.randrange(1 << 32)))
    size = MUTANTS // PARTS
    mutants = (Mutant.drawn(seed, number) for number in range(part * size, (part + 1) * size))
    report = campaign.run(database_url, tmp_path, mutants)
    assert report.tried == size
    assert report.is_clean, f"seed {seed}: {report.words(tmp_path / 'kept')}"
    assert 0 < report.refused < report.tried


def test_the_same_seed_draws_the_same_mutants(tmp_path: Path) -> None:
    """A mutant can be drawn again, and one that was kept is the same when it is replayed."""
    drawn = [Mutant.drawn(7, number) for number in range(200)]
    assert drawn == [Mutant.drawn(7, number) for number in range(200)]
    assert len({mutant.data for mutant in drawn}) > 150
    assert {mutant.file for mutant in drawn} == {STATE, PLAN, RUN}
    path = drawn[0].keep(tmp_path / "kept", ["it went wrong"])
    assert Mutant.kept(path) == drawn[0]


@pytest.mark.timeout(600)
def test_a_wrong_row_is_noticed(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison fails, and names the mutant, when the mirror writes something else than it should."""
    real = campaign.Garden.sync

    def lossy(garden: campaign.Garden, slugs: list[str]) -> list[str]:
        problems = real(garden, slugs)
        with garden.runtime.database.write() as connection:
            connection.exec_driver_sql("UPDATE sessions SET topic = 'wrong' WHERE slug = 's0003'")
        return problems

    monkeypatch.setattr(campaign.Garden, "sync", lossy)
    report = campaign.run(sqlite_url, tmp_path, [Mutant.drawn(3, number) for number in range(5)])
    assert not report.is_clean
    assert [mutant.name for mutant, _ in report.failures] == ["3-3"]
    assert (tmp_path / "kept" / "mutant-3-3.json").exists() or "mutant-3-3" in report.words(tmp_path / "kept")
