"""Thousands of hostile frames: the server answers or closes, logs no defect, and is as quick as before.

``SESSIOND_TEST_FUZZ_FRAMES`` says how many (5,000, a quarter to each listener over each database), and
``SESSIOND_TEST_FUZZ_SEED`` which ones. `python -m tests.hostile.requests --frames 100000` throws more.
"""

import os
import secrets

import pytest

from sessionlib.db.engine import Database
from tests import frames
from tests.ctl import Ctl, ctl_fixture, mirrored_fixture  # noqa: F401 - fixtures
from tests.hostile import attack, requests, siege

FRAMES = int(os.environ.get("SESSIOND_TEST_FUZZ_FRAMES", "5000"))
SEED = int(os.environ.get("SESSIOND_TEST_FUZZ_SEED", "0")) or secrets.randbits(32)

SECONDS = 60 + FRAMES // 40
"""Time for one listener's share of the frames."""


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("over_tcp", [False, True], ids=["unix", "tcp"])
def test_hostile_frames_change_nothing(mirrored: Ctl, mirror_database: Database, over_tcp: bool) -> None:
    """After all of them the server is as quick as before, and holds no more files or memory."""
    assert mirrored.code.exists()
    report = siege.run(mirror_database, SEED, range(FRAMES // 4), over_tcp=over_tcp)
    assert not report.wrong, f"seed {SEED}: {report.words()}"
    assert report.thrown == FRAMES // 4


@pytest.mark.parametrize("listener", ["unix", "tcp"])
def test_the_command_throws_and_tells(listener: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Frames, seed, figures and exit code; what is not thrown in time is a failure."""
    words = ["--database", "sqlite", "--listener", listener, "--seed", "7", "--frames", "150"]
    assert requests.main(words) == 0
    said = capsys.readouterr().out
    assert said.startswith("seed 7\n")
    assert f"sqlite, {listener}: 150 frames: 0 failed, 0 defects; memory +" in said
    assert requests.main([*words, "--seconds", "0"]) == 1
    assert "150 were not thrown: the time was up" in capsys.readouterr().out


def test_what_goes_wrong_is_noticed(
    mirrored: Ctl, mirror_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer in other words than ours fails the siege, with the seed and the number of its frame."""
    assert mirrored.code.exists()
    real = frames.answers

    def bent(received: bytes) -> list[frames.Said]:
        return [said._replace(status=500) if said.status == 400 else said for said in real(received)]

    monkeypatch.setattr(attack.frames, "answers", bent)
    report = siege.run(mirror_database, 7, range(60), over_tcp=False)
    assert report.wrong
    assert "status 500" in report.failures[0]
    assert "seed 7, frame " in report.failures[0]
