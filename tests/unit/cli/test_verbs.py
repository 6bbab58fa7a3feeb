"""A call that begins with a verb is parsed without the other verbs, and nobody can tell."""

import argparse
from typing import Any

import pytest

from sessionlib.cli import verbs
from sessionlib.cli.main import build_parser
from sessionlib.cli.options import GLOBAL_DEFAULTS


def parsed(
    words: list[str], known: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> tuple[Any, str, str]:
    """Return what a parser makes of the words: options and the rest, or how it ended; and what it printed."""
    found: Any
    try:
        options, left = known.parse_known_args(words, argparse.Namespace(**GLOBAL_DEFAULTS))
        found = {name: value for name, value in vars(options).items() if name != "parser"}, left
    except SystemExit as stop:
        found = stop.code
    except Exception as error:  # noqa: BLE001 - a mistake is compared, too
        found = repr(error)
    return found, *capsys.readouterr()


@pytest.mark.parametrize("verb", verbs.NAMES)
@pytest.mark.parametrize(
    "rest", [[], ["--help"], ["-h", "x"], ["--bogus"], ["--jsn"], ["a", "b", "c", "d"], ["--limit", "many"]]
)
def test_one_verb_alone_parses_alike(verb: str, rest: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Options, help and mistakes are those of the parser that knows every verb."""
    words = [verb, *rest]
    assert parsed(words, build_parser(words), capsys) == parsed(words, build_parser(), capsys)


def test_a_call_that_begins_otherwise_gets_every_verb() -> None:
    """Options before the verb, mistakes and no words at all: help and hints need all of them."""
    for words in ([], ["--json", "sessions"], ["sesions"], ["--help"]):
        assert len(verbs.adding(words)) == len(verbs.NAMES)
    assert len(verbs.adding(["sessions", "--json"])) == 1
