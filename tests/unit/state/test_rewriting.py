"""Back to text, in the style of the file."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessionlib.state.rewriting import render, rewrite, same
from tests import builders

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def changed(old: str, **values: Any) -> str:
    document = json.loads(old.removeprefix("\ufeff"))
    document.update(values)
    return rewrite(old.encode(), document).decode()


def test_new_files_have_two_spaces_and_a_line_break() -> None:
    """A new document looks as if written by the usual tools, in plain UTF-8."""
    assert render({"a": [1], "ü": {}}) == '{\n  "a": [\n    1\n  ],\n  "ü": {}\n}\n'.encode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('{"a": 1, "b": 2}', '{"a": 1, "b": 3}'),
        ('{"a":1,"b":2}\n', '{"a":1,"b":3}\n'),
        ('{\n  "a": 1,\n  "b": 2\n}\n', '{\n  "a": 1,\n  "b": 3\n}\n'),
        ('{\n\t"a": 1,\n\t"b": 2\n}', '{\n\t"a": 1,\n\t"b": 3\n}'),
        ('{\r\n    "a": 1,\r\n    "b": 2\r\n}\r\n', '{\r\n    "a": 1,\r\n    "b": 3\r\n}\r\n'),
        ('\ufeff {"a" : 1 , "b" : 2 } \n\n', '\ufeff {"a" : 1, "b" : 3 } \n\n'),
        ('{\n  "b" :2,\n  "a": 1e0}', '{\n  "b" :3,\n  "a": 1e0}'),
    ],
)
def test_style_survives(old: str, new: str) -> None:
    """Line breaks, indentation, spaces at colons, a BOM and the end of the file stay."""
    assert changed(old, b=3) == new


def test_equal_values_keep_their_text() -> None:
    """Spelling of numbers, inline lists, escapes and duplicate keys stay where nothing changed."""
    old = (
        '{\n  "n": 1.50e2,\n  "l": [1,2,  3],\n  "o": {"x":1,"x":2},\n'
        '  "s": "\\u00fc\\ud800",\n  "t": "a"\n}\n'
    )
    assert changed(old, t="b") == old.replace('"a"', '"b"')


def test_nested_changes_touch_only_their_place() -> None:
    """Within a changed object and a changed list, too, the rest keeps its text."""
    old = (
        '{\n  "p": {\n    "done": [1, 2],\n    "odd": 1.0,\n    "current": 3\n  },\n'
        '  "c": [\n    {"sha": "a",  "n": 1.0},\n    {"sha": "b"}\n  ]\n}\n'
    )
    document = json.loads(old)
    document["p"]["done"] = [1, 2, 3]
    document["p"]["current"] = None
    document["c"][1]["sha"] = "bb"
    document["c"].append({"sha": "c", "n": 2})
    assert rewrite(old.encode(), document).decode() == (
        '{\n  "p": {\n    "done": [1, 2, 3],\n    "odd": 1.0,\n    "current": null\n  },\n'
        '  "c": [\n    {"sha": "a",  "n": 1.0},\n    {"sha": "bb"},\n    {"sha": "c", "n": 2}\n  ]\n}\n'
    )


def test_new_values_are_indented_to_their_place() -> None:
    """What was not there before is written in the file's own indentation."""
    old = '{\r\n    "a": {\r\n        "b": 1\r\n    },\r\n    "e": [],\r\n    "x": {}\r\n}'
    document = json.loads(old)
    document["a"]["c"] = [1]
    document["e"] = [{"k": 1}]
    document["x"] = {"y": 2}
    document["n"] = {"z": []}
    assert rewrite(old.encode(), document).decode() == (
        '{\r\n    "a": {\r\n        "b": 1,\r\n        "c": [\r\n            1\r\n        ]\r\n    },\r\n'
        '    "e": [\r\n        {\r\n            "k": 1\r\n        }\r\n    ],\r\n'
        '    "x": {\r\n        "y": 2\r\n    },\r\n    "n": {\r\n        "z": []\r\n    }\r\n}'
    )


@pytest.mark.parametrize(
    ("old", "value", "new"),
    [
        ("{}", 1, '{\n  "a": 1\n}'),
        ("{ \n }\n", 1, '{\n  "a": 1\n}\n'),
        ('{"x":1}', [1], '{"x":1,"a":[1]}'),
    ],
)
def test_first_member(old: str, value: object, new: str) -> None:
    """An empty object has no style of its own."""
    assert changed(old, a=value) == new


def test_members_and_items_can_go() -> None:
    """What is no longer there is gone, with its comma."""
    old = '{\n  "a": 1,\n  "b": [1, 2, 3],\n  "c": 3\n}'
    assert rewrite(old.encode(), {"b": [1]}).decode() == '{\n  "b": [1]\n}'
    assert rewrite(old.encode(), {"b": []}).decode() == '{\n  "b": []\n}'
    assert rewrite(old.encode(), {}).decode() == "{}"
    assert rewrite(old.encode(), {"b": {"x": 1}}).decode() == '{\n  "b": {\n    "x": 1\n  }\n}'


def test_files_of_pure_ascii_stay_so() -> None:
    """Where the file escapes, so do we; where it does not, neither do we; surrogates always."""
    assert changed('{"a": "\\u00fc", "b": 1}', b="ö") == '{"a": "\\u00fc", "b": "\\u00f6"}'
    assert changed('{"a": "ü", "b": 1}', b="ö\ud800") == '{"a": "ü", "b": "ö\\ud800"}'
    assert changed('{"a": "u", "b": 1}', b="ö") == '{"a": "u", "b": "ö"}'


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), object(), {1: {2}}])
def test_values_that_are_no_json_are_refused(bad: object) -> None:
    """Nothing is written that could not be read."""
    with pytest.raises((ValueError, TypeError)):
        rewrite(b'{"a": 1}', {"a": bad})


def test_same_is_about_spelling() -> None:
    """Numbers, booleans and orders that compare equal in Python are still different text."""
    assert same({"a": [1]}, {"a": [1]})
    assert not same(1, 1.0)
    assert not same(1, True)
    assert not same({"a": 1, "b": 2}, {"b": 2, "a": 1})


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=[]), max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from("abcdef"), JSON, max_size=6)


@PATIENT
@given(OBJECTS, OBJECTS, st.sampled_from([None, 0, 1, 4, "\t"]), st.booleans(), st.booleans())
def test_any_change_reads_back_exactly(
    old: dict, new: dict, indent: Any, ascii_only: bool, crlf: bool
) -> None:
    """Whatever changes into whatever, in any style: the result reads as the new document, in its order."""
    text = json.dumps(old, indent=indent, ensure_ascii=ascii_only)
    text = text.encode("utf-8", "replace").decode()
    if crlf:
        text = text.replace("\n", "\r\n")
    data = rewrite(text.encode(), new)
    assert same(json.loads(data), new)
    assert rewrite(data, new) == data


@pytest.mark.parametrize("name", builders.SESSIONS)
@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_unchanged_documents_are_byte_for_byte_the_same(name: str, indent: Any) -> None:
    """Rewriting what did not change changes nothing."""
    document = builders.SESSIONS[name]()
    data = json.dumps(document, indent=indent, ensure_ascii=False).encode()
    assert rewrite(data, document) == data
