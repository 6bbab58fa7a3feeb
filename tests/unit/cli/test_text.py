"""Values as text: nothing a file holds steers a terminal, and JSON stays JSON."""

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionlib.cli import text

MOMENT = datetime(2026, 1, 5, 9, 0, 30, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain words", "plain words"),
        ("two\nlines", "two\\nlines"),
        ("tab\tand\rreturn", "tab\\tand\\rreturn"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x9b31m", "\\x9b31m"),
        ("a\x00b\x7f", "a\\x00b\\x7f"),
        ("safe\u202etxt.exe", "safe\\u202etxt.exe"),
        ("\ufeffmark", "\\ufeffmark"),
        ("not utf-8: \udcff", "not utf-8: \\udcff"),
        ("tag \U000e0041", "tag \\U000e0041"),
        ("Grüße, 日本 🎉", "Grüße, 日本 🎉"),
    ],
)
def test_visible_spells_out_what_steers_a_terminal(raw: str, shown: str) -> None:
    """Control and direction characters and surrogates become escapes; all else stays."""
    assert text.visible(raw) == shown


@given(st.text(st.characters(codec=None)))
def test_visible_text_is_one_harmless_line(raw: str) -> None:
    """Whatever comes in, one line without a control character comes out, and it can be encoded."""
    shown = text.visible(raw)
    assert len(shown.splitlines()) <= 1
    assert not any(char < " " or "\x7f" <= char <= "\x9f" for char in shown)
    shown.encode()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_json_text_loads_back(value: object) -> None:
    """What is escaped for the terminal's sake is the same value for a program."""
    assert json.loads(text.json_text(value)) == value
    assert json.loads(text.json_text(value, ascii_only=True)) == value


def test_json_text_holds_no_character_a_terminal_obeys() -> None:
    """Even raw control characters above ASCII, direction marks and surrogates are escaped in JSON."""
    written = text.json_text({"a": "\x9b31m\u202e\x7f\udcff\U000e0041", "ü": "日本"})
    assert written == '{"a": "\\u009b31m\\u202e\\u007f\\udcff\\udb40\\udc41", "ü": "日本"}'


def test_json_text_writes_times_and_ids_as_text() -> None:
    """Times are UTC with a Z, ids their usual text."""
    berlin = MOMENT.astimezone(timezone(timedelta(hours=1)))
    written = json.loads(text.json_text([berlin, UUID(int=1)]))
    assert written == ["2026-01-05T09:00:30.250000Z", "00000000-0000-0000-0000-000000000001"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), ("", "-"), (True, "yes"), (False, "no"), (0, "0"), ("a\nb", "a\\nb")],
)
def test_cell_shows_values(value: object, shown: str) -> None:
    """Nothing is a dash, a flag is yes or no, text is made visible."""
    assert text.cell(value) == shown


def test_cell_shows_times_on_the_local_clock() -> None:
    """A time is shown as this machine's clock shows it, to the minute."""
    assert text.cell(MOMENT) == MOMENT.astimezone().strftime("%Y-%m-%d %H:%M")


def test_local_shows_times_that_no_local_clock_has() -> None:
    """A time at the edge of the calendar is shown instead of failing."""
    last = datetime.max.replace(tzinfo=timezone(-timedelta(hours=20)))
    assert text.local(last) == "9999-12-31 23:59-20:00"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "60 min"),
        (3600, "1 h"),
        (5400, "1.5 h"),
        (86400 * 2, "2 d"),
        (86400 * 9.5, "9.5 d"),
    ],
)
def test_duration_uses_the_largest_unit(seconds: float, shown: str) -> None:
    """A span is told in one unit, without a fraction that says nothing."""
    assert text.duration(seconds) == shown


@pytest.mark.parametrize(("value", "columns"), [("abc", 3), ("日本", 4), ("é", 1), ("e\u0301", 1), ("", 0)])
def test_width_counts_terminal_columns(value: str, columns: int) -> None:
    """Wide characters take two columns, combining ones none."""
    assert text.width(value) == columns


def test_words_counts_with_the_right_noun() -> None:
    """One is singular, all else plural, irregular ones as told."""
    assert [text.words(n, "session") for n in (0, 1, 2)] == ["0 sessions", "1 session", "2 sessions"]
    assert text.words(2, "alias", "aliases") == "2 aliases"
