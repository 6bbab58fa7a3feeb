"""The daemon's command line: what it refuses, in one sentence with a hint and an exit code."""

from pathlib import Path

import pytest

from sessiond.main import main


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration, database or state folder but the test's; this process keeps its own logging."""
    monkeypatch.setattr("sessiond.logs.set_up", lambda _level: None)
    for name in ("SESSIOND_CONFIG", "SESSIOND_DATABASE_URL", "SESSIOND_HOST_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SESSIOND_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("sessiond.signals.StopSignals.install", lambda _self: None)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run"], 2, "no folder to watch"),
        (["run", "FILE"], 2, "is not a folder"),
        (["run", "DIR", "--config", "nowhere.toml"], 78, "cannot read the configuration"),
        (["run", "DIR", "--database", "mysql://host/db"], 78, "not supported"),
        (["run", "DIR", "--database", "postgresql://me:secret@host/db"], 78, "password"),
        (["run", "DIR", "--state-dir", "FILE"], 78, "cannot be used"),
    ],
)
def test_what_cannot_run_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    """Each mistake ends in its exit code, a sentence and a hint, and no secret is repeated."""
    (tmp_path / "file").write_text("")
    places = {"FILE": str(tmp_path / "file"), "DIR": str(tmp_path)}
    assert main([places.get(argument, argument) for argument in arguments]) == code
    told = capsys.readouterr().err
    assert words in told
    assert "hint: " in told
    assert "secret" not in told


def test_unknown_words_are_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    """argparse ends with 2 and the usage."""
    with pytest.raises(SystemExit) as caught:
        main(["fly"])
    assert caught.value.code == 2
    assert "usage: sessiond" in capsys.readouterr().err
