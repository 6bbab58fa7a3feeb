"""The daemon's command line: what cannot run says why and what to do, and ends in its exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sessiond.main import main
from sessiond.signals import Signals


class Quiet(Signals):
    """Signals that take nothing over from the process that runs the tests."""

    def install(self) -> None:
        """Take nothing over."""

    def listen(self, **_: object) -> None:  # type: ignore[override]
        """Hear nothing."""

    def give_up_after(self, seconds: float, *, code: int = 0) -> None:
        """Never leave."""


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every command work in this test's folders, and leave this process's signals alone."""
    for name in ("SESSIOND_CONFIG", "SESSIOND_DATABASE_URL", "SESSIOND_RUNTIME_DIR", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SESSIOND_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("sessiond.signals.Signals", Quiet)
    monkeypatch.setattr("os.umask", lambda _mask: 0o022)
    monkeypatch.setattr("resource.setrlimit", lambda *_: None)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run"], 2, "no folder to watch"),
        (["run", "FILE"], 2, "is not a folder"),
        (["run", "DIR", "--config", "nowhere.toml"], 78, "cannot read the configuration"),
        (["run", "DIR", "--database", "mysql://host/db"], 78, "not supported"),
        (["run", "DIR", "--database", "postgresql://me:secret@host/db"], 78, "password"),
        (["run", "DIR", "--state-dir", "FILE"], 78, "cannot be used"),
        (["run", "DIR", "--listen", "0.0.0.0:80"], 78, "control.listen"),
        (["run", "DIR", "--log-file", "DIR"], 78, "log"),
        (["run", "DIR", "--runtime-dir", "/" + "long/" * 30], 78, "daemon.runtime_dir"),
        (["run", "~nobody-of-that-name/code"], 2, "no such home folder"),
        (["stop"], 3, "no sessiond runs"),
        (["stop", "--state-dir", "~nobody-of-that-name/state"], 78, "no home folder"),
    ],
)
def test_what_cannot_run_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    """Each mistake ends in its exit code, a sentence and a hint, and no secret is repeated."""
    (tmp_path / "file").write_text("")
    named = {"FILE": str(tmp_path / "file"), "DIR": str(tmp_path)}
    root = ["--allow-root"] if arguments[0] == "run" else []
    assert main([named.get(argument, argument) for argument in arguments] + root) == code
    told = capsys.readouterr().err
    assert words in told
    assert "hint: " in told or "must be" in told
    assert "secret" not in told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused")
def test_root_is_refused_unless_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As root nothing is read, locked or made; the hint names the option."""
    assert main(["run", str(tmp_path)]) == 2
    assert "--allow-root" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


def test_unknown_words_are_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    """The end is 2, and the hint names the right words or the nearest."""
    for word, hint in (("fly", "it is one of run, stop, check-config"), ("rnu", "did you mean: run?")):
        with pytest.raises(SystemExit) as caught:
            main([word])
        assert caught.value.code == 2
        assert capsys.readouterr().err == f"sessiond: there is no verb '{word}'\n  hint: {hint}\n"


@pytest.mark.parametrize("seconds", ["nan", "-1", "inf", "soon"])
def test_a_wait_that_is_no_time_is_a_usage_error(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Only a number of seconds from 0 on can be waited for."""
    with pytest.raises(SystemExit) as caught:
        main(["stop", f"--timeout={seconds}"])
    assert caught.value.code == 2
    assert "is no number from 0 to 86400" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("run --allow-root code", 2, "the folder this was started in has been deleted"),
        ("run --allow-root", 2, "no folder to watch"),
        ("check-config --config file.toml", 2, "the folder this was started in has been deleted"),
    ],
)
def test_a_working_folder_that_was_deleted(tmp_path: Path, words: str, code: int, told: str) -> None:
    """What needs no relative path works there; what does need one says why it cannot be found."""
    done = _run_in_shell(f'mkdir gone && cd gone && rmdir ../gone && "$PYTHON" -m sessiond {words}', tmp_path)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_an_answer_that_nobody_reads(tmp_path: Path) -> None:
    """A reader that has gone is no fault to be told of, and no traceback."""
    listening = '("$PYTHON" -m sessiond check-config; echo "code $?" >&2) | :'
    done = _run_in_shell(f"sleep 0.2; {listening}", tmp_path)
    assert "code 141" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the device that is always full")
def test_an_answer_that_cannot_be_written(tmp_path: Path) -> None:
    """A full disk under the answer is one sentence and exit code 1."""
    done = _run_in_shell('"$PYTHON" -m sessiond check-config >/dev/full', tmp_path)
    assert done.returncode == 1
    assert "sessiond: cannot write the answer: " in done.stderr
    assert "Traceback" not in done.stderr


def _run_in_shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHON": sys.executable, "HOME": str(folder)}
    return subprocess.run(
        ["/bin/sh", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
