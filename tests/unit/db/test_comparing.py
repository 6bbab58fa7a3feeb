"""JSON as databases store it means what was written, or it does not."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionlib.db.comparing import _same_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)


@pytest.mark.parametrize(
    ("stored", "expected", "same"),
    [
        ('{"b": 1, "a": [2]}', '{"a":[2],"b":1}', True),
        ("[10000000000000000]", "[1e16]", True),
        ("[0.0]", "[-0.0]", True),
        ("[1.0]", "[1]", True),
        ("[true]", "[1]", False),
        ('{"a": {"b": [false]}}', '{"a":{"b":[0]}}', False),
        ('{"a": null}', "{}", False),
        ("[1, 2]", "[2, 1]", False),
        ("no JSON", "[]", False),
        (None, "[]", False),
        (7, "[]", False),
    ],
)
def test_json_is_compared_by_its_meaning(stored: object, expected: str, *, same: bool) -> None:
    """Spaces, the order of keys and the spelling of numbers are no difference; a kind is one."""
    assert _same_json(stored, expected) is same


@given(VALUES, VALUES)
def test_equal_json_is_equal_however_it_is_written(one: object, other: object) -> None:
    """A value is the same as itself, indented and sorted; and as another only if that is equal."""
    text = orjson.dumps(one).decode()
    assert _same_json(orjson.dumps(one, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode(), text)
    if one != other:
        assert not _same_json(orjson.dumps(other).decode(), text)
