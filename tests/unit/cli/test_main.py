"""Errors: one line and a hint on standard error, and the exit code that belongs to them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sessionlib import __version__
from sessionlib.cli import endings
from sessionlib.cli import main as door
from sessionlib.cli.answer import Answer
from sessionlib.errors import ConfigError, DatabaseUnavailableError, RecordNotFoundError, UsageError


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let `sessionctl query` raise what the test wants."""

    def arrange(error: BaseException) -> None:
        def run(_: object) -> Answer:
            raise error

        def add(commands: Any, common: Any) -> None:
            commands.add_parser("fail", parents=[common]).set_defaults(run=run)

        monkeypatch.setattr(door, "adding", lambda _: (add,))

    return arrange


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            UsageError("wrong words", hint="say it right"),
            2,
            "sessionctl: wrong words\n  hint: say it right\n",
        ),
        (
            RecordNotFoundError("project", "shup", nearest=("shop",)),
            1,
            "sessionctl: no project named 'shup'\n  hint: did you mean: shop?\n",
        ),
        (
            DatabaseUnavailableError("the database is away"),
            69,
            (
                "sessionctl: the database is away\n"
                "  hint: see that the database runs and that database.url means it; "
                "`sessionctl status` tells more\n"
            ),
        ),
        (
            ConfigError("bad key\x1b[2J"),
            78,
            (
                "sessionctl: bad key\\x1b[2J\n"
                "  hint: `sessiond check-config` tells all that is wrong with the configuration\n"
            ),
        ),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 141, ""),
        (
            ValueError("first line\nsecond line"),
            1,
            (
                "sessionctl: unexpected ValueError: first line\n"
                "  hint: run it again with SESSIONCTL_TRACEBACK=1 to see where, and report it\n"
            ),
        ),
        (ValueError(), 1, None),
    ],
    ids=repr,
)
def test_errors_become_a_line_and_an_exit_code(
    error: BaseException,
    code: int,
    said: str | None,
    failing: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever a verb raises ends as one sentence on standard error, with its own exit code."""
    monkeypatch.setattr(endings, "drop_output", lambda: None)
    failing(error)
    assert door.main(["fail"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said is None or err == said


def test_a_surprise_shows_its_traceback_when_asked(
    failing: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With SESSIONCTL_TRACEBACK set, what nobody expected is shown with where it came from."""
    monkeypatch.setenv("SESSIONCTL_TRACEBACK", "1")
    failing(ValueError("inside"))
    assert door.main(["fail"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):")
    assert err.endswith("ValueError: inside\n")


@pytest.mark.parametrize("traceback", ["", "1"])
def test_a_surprise_tells_no_secret(
    failing: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], traceback: str
) -> None:
    """Of words that others wrote, what looks like a secret or stands in our environment as one is masked."""
    monkeypatch.setenv("SESSIONCTL_TRACEBACK", traceback)
    monkeypatch.setenv("PGPASSWORD", "wet-cement-42")
    failing(ValueError("cannot reach postgresql://me:dry-sand@host/db as wet-cement-42"))
    assert door.main(["fail"]) == 1
    err = capsys.readouterr().err
    assert "cannot reach postgresql://me:***@host/db as ***" in err
    assert "dry-sand" not in err
    assert "wet-cement" not in err


def test_version_is_the_library_s(capsys: pytest.CaptureFixture[str]) -> None:
    """--version prints the one version there is."""
    assert door.main(["--version"]) == 0
    assert capsys.readouterr().out == f"sessionctl {__version__}\n"


@pytest.mark.parametrize(
    "url",
    ["postgresql://me:secret@host/db", "postgresql://host/db?password=secret", "postgresql://host:port/db"],
)
def test_a_password_on_the_command_line_is_refused(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A database URL that shows a password to all, or cannot be read, ends with 78 and is not repeated."""
    assert door.main(["sessions", "--database", url]) == 78
    err = capsys.readouterr().err
    assert err.startswith("sessionctl: ")
    assert "secret" not in err


def test_a_bad_database_url_names_where_it_came_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The option, the variable or the file is named, whichever the URL was taken from."""
    bad = tmp_path / "bad.toml"
    bad.write_text('[database]\nurl = "zzz"\n')
    monkeypatch.delenv("SESSIOND_DATABASE_URL", raising=False)
    assert door.main(["sessions", "--config", str(bad)]) == 78
    assert capsys.readouterr().err.startswith(f"sessionctl: {bad}: the database URL cannot be read")
    monkeypatch.setenv("SESSIOND_DATABASE_URL", "mysql://host/name")
    for verb in ("sessions", "sync"):
        assert door.main([verb, "--state-dir", str(tmp_path), "--config", str(bad)]) == 78
        assert capsys.readouterr().err.startswith("sessionctl: SESSIOND_DATABASE_URL: ")
    assert door.main(["sessions", "--database", "zzz", "--config", str(bad)]) == 78
    assert capsys.readouterr().err.startswith("sessionctl: --database: ")


def test_a_bad_configuration_ends_with_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A configuration file that is not there, or holds an unknown key, is named."""
    assert door.main(["sessions", "--config", str(tmp_path / "none.toml")]) == 78
    assert "none.toml" in capsys.readouterr().err
    bad = tmp_path / "bad.toml"
    bad.write_text("[watch]\nroot = []\n")
    assert door.main(["--config", str(bad), "sessions"]) == 78
    assert "did you mean roots?" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["status", "projects"])
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_streams_that_are_closed(tmp_path: Path, verb: str, closed: str) -> None:
    """A command that is started without a stream does its work; nothing it opens takes the stream's place."""
    done = _run_in_shell(f"sessionctl {verb} {closed}", tmp_path)
    assert done.returncode == {"status": 3, "projects": 78}[verb]
    assert "unexpected" not in done.stderr


@pytest.mark.parametrize("words", ["sync code", "sync ~nobody-of-that-name/code"])
def test_paths_without_a_meaning(tmp_path: Path, words: str) -> None:
    """A relative path in a deleted folder, and a home that is nobody's, are told with what to do."""
    done = _run_in_shell(f"mkdir gone && cd gone && rmdir ../gone && sessionctl {words}", tmp_path)
    assert done.returncode == 2
    assert "hint: " in done.stderr
    assert "unexpected" not in done.stderr


def _run_in_shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHON": sys.executable, "HOME": str(folder)}
    program = "import sys; from sessionlib.cli.entry import main; sys.exit(main())"
    function = f'sessionctl() {{ "$PYTHON" -c "{program}" "$@"; }}'
    return subprocess.run(
        ["/bin/sh", "-c", f"{function}; {script}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
