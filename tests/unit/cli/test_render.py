"""Answers in print: plain text in a pipe, one object for programs, tables on a terminal."""

import io
import json
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from rich.console import Console

from sessionlib.cli.answer import Answer, Column, Document, Facts, Freshness, Lines, Table
from sessionlib.cli.printer import Printer
from sessionlib.cli.render import freshness_line, json_object, plain_lines
from sessionlib.cli.terminal import Terminal
from sessionlib.models import Checkpoint

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
NAMES = Column("name", lambda row: row[0], style="bold")
COUNTS = Column("count", lambda row: row[1], right=True, style=lambda text: "red" if text == "7" else "")
EVIL = "\x1b[31mred\x1b[0m\n[bold]x[/bold] :smile:"


class Pair(NamedTuple):
    """A row that is a named tuple."""

    name: str
    at: datetime | None


def test_a_table_is_aligned_by_what_a_terminal_shows() -> None:
    """Columns line up, numbers on the right, wide characters counted as two, no space at the end."""
    table = Table([NAMES, COUNTS, NAMES], [("a", 7), ("日本", 12), ("long name", None)])
    assert list(plain_lines([table])) == [
        "NAME       COUNT  NAME",
        "a              7  a",
        "日本          12  日本",
        "long name      -  long name",
    ]


def test_blocks_are_parted_by_one_blank_line() -> None:
    """A blank line parts two blocks; a block with nothing to print leaves no gap."""
    blocks = [
        Lines(["one"]),
        Table([NAMES], []),
        Facts([("a", 1), ("bc", None)], title="facts"),
        Facts([], title="no facts"),
        Lines(["z"]),
    ]
    assert list(plain_lines(blocks)) == ["one", "", "facts", "a:   1", "bc:  -", "", "z"]


def test_an_empty_table_says_so() -> None:
    """Instead of headings without rows, the words for nothing are printed."""
    assert list(plain_lines([Table([NAMES], [], title="names", empty="no names")])) == ["no names"]


def test_hostile_text_stays_one_harmless_line_in_a_pipe() -> None:
    """Escapes, line breaks and markup of a cell, a line or a note are shown and not obeyed."""
    lines = list(plain_lines([Table([NAMES], [(EVIL,)]), Lines([EVIL])]))
    assert lines[1] == lines[3] == "\\x1b[31mred\\x1b[0m\\n[bold]x[/bold] :smile:"


def _on_terminal(answer: Answer, *, color: bool = True, width: int = 60) -> str:
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=True, width=width, no_color=not color, color_system="standard", _environ={}
    )
    Terminal(console=console).print(answer)
    return out.getvalue()


def test_hostile_text_is_not_obeyed_on_a_terminal() -> None:
    """Rich neither passes an escape on nor reads markup or emoji names in data."""
    answer = Answer(
        blocks=[Table([NAMES], [(EVIL,)]), Facts([("n", EVIL)]), Lines([EVIL]), Document({"a": EVIL})],
        notes=[EVIL],
    )
    shown = _on_terminal(answer)
    assert "\x1b[31mred" not in shown
    assert shown.count("[bold]x[/bold] :smile:") == 5
    assert "\\x1b[31m" in shown


def test_a_terminal_gets_a_table_with_colours() -> None:
    """Headings, cells, notes and the freshness line are all there, and styled."""
    answer = Answer(
        blocks=[Table([NAMES, COUNTS], [("a", 7)], title="names"), Table([NAMES], [], empty="nothing")],
        freshness=Freshness.judge(NOW - timedelta(seconds=12), NOW, 180),
        notes=["1 of 2"],
    )
    shown = _on_terminal(answer)
    assert "\x1b[31m" in shown
    assert "\x1b[2mas of 12 s ago" in shown
    assert all(words in shown for words in ("names", "name", "count", "nothing", "1 of 2"))
    plain = _on_terminal(answer, color=False)
    assert "\x1b[31m" not in plain


def test_a_narrow_terminal_loses_no_character() -> None:
    """What does not fit is folded, not cut off."""
    answer = Answer(blocks=[Table([NAMES], [("abcdefghij" * 4,)])])
    shown = _on_terminal(answer, width=20, color=False)
    assert sum(shown.count(letter) for letter in "bcd") == 12


@pytest.mark.parametrize(
    ("age", "line"),
    [
        (12, "as of 12 s ago"),
        (180, "as of 3 min ago"),
        (-5, "as of 0 s ago"),
    ],
)
def test_fresh_answers_say_how_old_they_are(age: float, line: str) -> None:
    """Within the limit the age is told; a clock that runs ahead makes no nonsense."""
    fresh = Freshness.judge(NOW - timedelta(seconds=age), NOW, 180)
    assert (fresh.stale, freshness_line(fresh)) == (False, [line])


def test_stale_answers_ask_for_the_daemon() -> None:
    """Over the limit, or never vouched for, is stale and says what to look at."""
    old = NOW - timedelta(seconds=181)
    since = old.astimezone().strftime("%Y-%m-%d %H:%M")
    assert Freshness.judge(old, NOW, 180).stale
    assert freshness_line(Freshness.judge(old, NOW, 180)) == [
        f"stale: nothing has vouched for this mirror since {since} (3 min ago); is sessiond running?"
    ]
    never = Freshness.judge(None, NOW, 180)
    assert (never.as_of, never.age, never.stale) == (None, None, True)
    assert freshness_line(never) == ["stale: nothing has vouched for this mirror yet; is sessiond running?"]


def test_what_comes_from_files_needs_no_freshness_line() -> None:
    """The files are the truth: JSON says since when, people need not be told."""
    fresh = Freshness.of_files(NOW)
    assert freshness_line(fresh) == freshness_line(None) == []
    assert json_object(Answer(freshness=fresh))["as_of"] == "2026-01-05T12:00:00Z"


def test_json_is_one_object_with_three_keys() -> None:
    """Models, named tuples and plain values are rows alike."""
    rows = [Checkpoint(number=1, title=None, completed=True, is_current=False), Pair("a", NOW), {"b": None}]
    found = json_object(Answer(rows=rows, freshness=Freshness.judge(None, NOW, 180)))
    assert list(found) == ["as_of", "stale", "rows"]
    assert (found["as_of"], found["stale"]) == (None, True)
    assert found["rows"][0] == {"number": 1, "title": None, "completed": True, "is_current": False}
    assert found["rows"][1] == {"name": "a", "at": NOW}
    assert json_object(Answer()) == {"as_of": None, "stale": False, "rows": []}


def _printed(answer: Answer, capsys: pytest.CaptureFixture[str], *, as_json: bool = False) -> tuple[str, str]:
    Printer(as_json=as_json).print(answer)
    out, err = capsys.readouterr()
    return out, err


def test_a_pipe_gets_data_on_one_stream_and_notes_on_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    """Notes and freshness go to standard error, so that a pipe holds nothing but data."""
    answer = Answer(
        rows=[1],
        blocks=[Lines(["data"])],
        notes=[EVIL],
        freshness=Freshness.judge(NOW, NOW, 1)._replace(age=5),
    )
    out, err = _printed(answer, capsys)
    assert out == "data\n"
    assert err.splitlines() == ["\\x1b[31mred\\x1b[0m\\n[bold]x[/bold] :smile:", "as of 5 s ago"]


def test_json_leaves_notes_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is the object and nothing else; that rows were cut is still told."""
    out, err = _printed(Answer(rows=[EVIL], notes=["1 of 2"]), capsys, as_json=True)
    assert json.loads(out)["rows"] == [EVIL]
    assert out.count("\n") == 1
    assert err == "1 of 2\n"


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both the option and the environment's NO_COLOR turn colours off."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert (Printer().color, Printer(color=False).color) == (True, False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not Printer().color
