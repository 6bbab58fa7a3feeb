"""The kinds of values in requests."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.control import asking

WHOLE = asking.a_whole(1, 100)
NUMBER = asking.a_number(0, 3.5)


@pytest.mark.parametrize(
    ("kind", "value", "taken"),
    [
        (asking.a_text, "wall", "wall"),
        (asking.a_text, "", ""),
        (asking.a_path, "/a/\udcff", "/a/\udcff"),
        (asking.a_flag, True, True),
        (asking.a_flag, "YES", True),
        (asking.a_flag, "1", True),
        (asking.a_flag, "false", False),
        (asking.a_flag, "0", False),
        (WHOLE, "1", 1),
        (WHOLE, "100", 100),
        (NUMBER, "0", 0.0),
        (NUMBER, 3, 3.0),
        (NUMBER, "3.5", 3.5),
    ],
)
def test_values_of_their_kind_are_taken(kind: asking.Kind, value: Any, taken: Any) -> None:
    """Texts from a URL and values from JSON become Python's."""
    found = kind(value)
    assert (found, type(found)) == (taken, type(taken))


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        (asking.a_text, 5, "a text without NUL"),
        (asking.a_text, "a\x00b", "a text without NUL"),
        (asking.a_text, "a\udcff", "a text of whole characters"),
        (asking.a_path, "/a\x00", "a path without NUL"),
        (asking.a_path, "/\ud800", "a path of whole characters"),
        (asking.a_path, ["/a"], "a path without NUL"),
        (asking.a_flag, "maybe", "true or false"),
        (asking.a_flag, 1, "true or false"),
        (WHOLE, "0", "a whole number from 1 to 100"),
        (WHOLE, "101", "a whole number from 1 to 100"),
        (WHOLE, "1.5", "a whole number from 1 to 100"),
        (WHOLE, "²", "a whole number from 1 to 100"),
        (WHOLE, "9" * 5000, "a whole number from 1 to 100"),
        (NUMBER, "nan", "a number from 0 to 3.5"),
        (NUMBER, "inf", "a number from 0 to 3.5"),
        (NUMBER, True, "a number from 0 to 3.5"),
        (NUMBER, 10**400, "a number from 0 to 3.5"),
        (NUMBER, [], "a number from 0 to 3.5"),
    ],
)
def test_values_of_another_kind_are_refused_in_words(kind: asking.Kind, value: Any, wanted: str) -> None:
    """The error says what the value must be."""
    with pytest.raises(ValueError, match=wanted.replace(".", r"\.")):
        kind(value)


@given(
    st.sampled_from([asking.a_text, asking.a_path, asking.a_flag, WHOLE, NUMBER]),
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.lists(st.integers())
    | st.just({}),
)
def test_no_value_breaks_a_kind(kind: asking.Kind, value: Any) -> None:
    """Whatever JSON holds is taken or refused with a ValueError."""
    try:
        kind(value)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - both ends are fine, nothing else is
