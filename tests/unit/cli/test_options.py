"""The parser: options of every verb before and after it, kinds of values, help."""

import argparse
import sys
from subprocess import run

import pytest

from sessionlib.cli.main import build_parser, main
from sessionlib.cli.options import GLOBAL_DEFAULTS, amount, seconds, whole

VERBS = {
    "projects": ["list", "show", "add", "remove", "alias", "merge"],
    "sessions": [],
    "show": [],
    "query": [],
    "sync": [],
    "rescan": [],
    "status": [],
    "events": [],
    "reload": [],
    "session": ["new", "show", "phase", "status", "checkpoint", "commit", "git", "decide"],
    "db": ["upgrade", "check"],
    "service": ["install", "uninstall", "start", "stop", "restart", "status", "logs"],
}
CALLS = [
    [verb, *([action] if action else [])] for verb, actions in VERBS.items() for action in actions or [""]
]


def _parse(*words: str) -> argparse.Namespace:
    return build_parser().parse_args(words, argparse.Namespace(**GLOBAL_DEFAULTS))


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "--no-color", "-v", "--database", "sqlite:///x", "db", "check"],
        ["db", "--json", "--no-color", "-v", "--database", "sqlite:///x", "check"],
        ["db", "check", "--json", "--no-color", "-v", "--database", "sqlite:///x"],
        ["--json", "db", "--no-color", "check", "-v", "--database", "sqlite:///x"],
    ],
)
def test_options_of_every_verb_stand_anywhere(words: list[str]) -> None:
    """Before the verb, between verb and action, or at the end means the same."""
    options = _parse(*words)
    assert (options.json, options.no_color, options.verbose) == (True, True, 1)
    assert options.database == "sqlite:///x"
    assert options.config is options.state_dir is None


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_every_verb_has_help(call: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Each verb and action explains itself, and the options of every verb."""
    assert main([*call, "--help"]) == 0
    said = capsys.readouterr().out
    assert "usage: sessionctl" in said
    assert "--json" in said


def test_the_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing can be done that the first page of help does not name."""
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(verb in said for verb in VERBS)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["db"],
        ["session"],
        ["sessions", "--limit", "0"],
        ["sessions", "--limit", "many"],
        ["sessions", "--min-checkpoints", "-1"],
        ["sessions", "--min-completed", "99999999999"],
        ["sessions", "--pha", "build"],
        ["query", "stuck", "--days", "nan"],
        ["query", "stuck", "--days", "1e9"],
        ["sync", "--timeout", "0"],
        ["session", "checkpoint", "jump", "3"],
        ["session", "new"],
        ["projects", "alias", "one"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_two(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What the parser does not understand ends with exit code 2 and says what is wrong."""
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    sentence, hint = err.splitlines()
    assert sentence.startswith("sessionctl: ")
    assert hint.startswith("  hint: ")


def test_kinds_of_numbers_name_their_range() -> None:
    """A number out of range is refused with the range."""
    assert whole(1)("7") == 7
    assert amount(0, 9)("0.5") == 0.5
    with pytest.raises(argparse.ArgumentTypeError, match="'0' is no whole number from 1 to 5"):
        whole(1, 5)("0")
    with pytest.raises(argparse.ArgumentTypeError, match="'x' is no number from 0 to 9"):
        amount(0, 9)("x")


def test_the_parser_imports_no_heavy_tools() -> None:
    """Help and --version answer without SQLAlchemy, pydantic, rich or logging."""
    code = (
        "import sys; from sessionlib.cli.main import build_parser; build_parser();"
        "print([m for m in ('sqlalchemy', 'pydantic', 'rich', 'psycopg', 'logging') if m in sys.modules])"
    )
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("text", "number"),
    [("2", 2.0), ("2s", 2.0), ("500ms", 0.5), ("1m", 60.0), ("1.5 h", 5400.0), ("0", 0.0), ("24h", 86400.0)],
)
def test_times_are_read_in_their_units(text: str, number: float) -> None:
    """Seconds without a unit; milliseconds, minutes and hours with one."""
    assert seconds(86400)(text) == number


@pytest.mark.parametrize(
    "text", ["", "s", "-1s", "1d", "2 weeks", "nan", "1e3", "25h", "1s1s", "٣s", "1" * 30]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """The message says how one looks."""
    with pytest.raises(argparse.ArgumentTypeError, match="is no time like 2s, 500ms or 1m"):
        seconds(86400)(text)
