"""The short way to `sessionctl status` takes the calls it understands, and no other."""

import argparse
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionlib.cli import entry
from sessionlib.cli.entry import Quick, quick
from sessionlib.cli.main import build_parser
from sessionlib.cli.options import GLOBAL_DEFAULTS
from sessionlib.cli.verbs import status

WORDS = st.sampled_from(
    [
        "status",
        "--json",
        "--no-color",
        "--brief",
        "--config",
        "--config=/c",
        "--state-dir",
        "--state-dir=",
        "--runtime-dir=/r",
        "--state-dir=-x",
        "/s",
        "-v",
        "--",
        "--wait",
        "5s",
        "--database",
        "sessions",
        "-h",
        "",
    ]
)


@given(st.lists(WORDS, max_size=6))
def test_both_ways_understand_the_same(words: list[str]) -> None:
    """Whatever the short way takes, the parser takes too, with the same options and for the same verb."""
    options = quick(words)
    if options is None:
        return
    parsed = build_parser().parse_args(words, argparse.Namespace(**GLOBAL_DEFAULTS))
    assert parsed.run is status.run
    for name in Quick.__slots__:
        told = getattr(parsed, name)
        assert (str(told) if isinstance(told, Path) else told) == getattr(options, name), name


@pytest.mark.parametrize(
    "words",
    [
        "status",
        "status --json",
        "--json status --brief",
        "--state-dir /s status",
        "status --config=/c --no-color",
    ],
)
def test_usual_calls_take_the_short_way(words: str) -> None:
    """What people and monitors type."""
    assert quick(words.split()) is not None


@pytest.mark.parametrize(
    "words",
    [
        "",
        "sessions",
        "status -h",
        "status --wait 5s",
        "--brief status",
        "status status",
        "--database postgresql://u:p@h/d status",
        "status --config",
        "status --config --json",
        "status --jso",
    ],
)
def test_the_rest_goes_the_long_way(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Help, mistakes, other verbs and rare options are the parser's, which gets every word."""
    taken: list[object] = []
    monkeypatch.setattr("sessionlib.cli.main.main", lambda argv: taken.append(argv) or 42)
    assert entry.main(words.split()) == 42
    assert taken == [words.split()]
