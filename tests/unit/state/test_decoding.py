"""From bytes to a JSON object, or to a sentence that says why not."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessionlib.errors import StateInvalidError
from sessionlib.state.decoding import MAX_DEPTH, MAX_VALUES, decode, json_kind, parse_exactly, sanitized
from tests import builders

HERE = Path("a/session")
PATIENT = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def refused(data: bytes) -> StateInvalidError:
    """Decode what must be refused, by both parsers."""
    with pytest.raises(StateInvalidError) as exact:
        parse_exactly(data, session_dir=HERE)
    with pytest.raises(StateInvalidError) as caught:
        decode(data, session_dir=HERE)
    assert (exact.value.message, exact.value.torn) == (caught.value.message, caught.value.torn)
    assert caught.value.session_dir == HERE
    return caught.value


def decoded(data: bytes) -> dict:
    return decode(data, session_dir=HERE)


@pytest.mark.parametrize("name", builders.GENERATIONS)
def test_every_generation_decodes(name: str) -> None:
    """All fifteen shapes come out as they went in."""
    document = builders.GENERATIONS[name]()
    data = json.dumps(document).encode()
    assert decoded(data) == document
    assert parse_exactly(data, session_dir=HERE) == document
    assert not sanitized(data)


def test_bom_is_accepted() -> None:
    """A byte order mark before UTF-8 is passed over."""
    assert decoded(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    assert parse_exactly(b'\xef\xbb\xbf{"a": 1}', session_dir=HERE) == {"a": 1}


def test_last_of_duplicate_keys_wins() -> None:
    """Both parsers agree on duplicates."""
    assert decoded(b'{"a": 1, "b": 2, "a": 3}') == {"a": 3, "b": 2}


@pytest.mark.parametrize("data", [b"", b"  \n\t\r", b"\0" * 4096, b"\xef\xbb\xbf"])
def test_empty_is_torn(data: bytes) -> None:
    """Nothing, blanks, and the zeros a power cut leaves are worth a second look."""
    error = refused(data)
    assert error.message == "state.json is empty"
    assert error.torn


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_other_encodings_are_named(encoding: str) -> None:
    """UTF-16 and UTF-32 are refused with and without their marks."""
    error = refused('{"a": 1}'.encode(encoding))
    assert "UTF-8 is needed" in error.message
    assert not error.torn


@PATIENT
@given(st.integers(min_value=1))
def test_every_truncation_is_torn(cut: int) -> None:
    """However short a document is cut, it looks like half of a write."""
    whole = json.dumps(
        {"a": [True, None, -1.5e3, {"ü": 'x\u2028\\"y'}], "b": {"c": [[1], []]}, "d": False}, indent=1
    ).encode()
    data = whole[: cut % (len(whole) - 1) + 1]
    assert refused(data).torn


def test_truncation_within_a_character_is_torn() -> None:
    """Half a character at the end counts as truncated, a bad byte in the middle does not."""
    assert refused('{"a": "ü'.encode()[:-1]).torn
    error = refused(b'{\n"a": "\xff"}')
    assert error.message == "state.json is not UTF-8: invalid start byte at byte 8 (line 2)"
    assert not error.torn


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"a": 1,\n "b" 2, "ccccccccccccccccc": 3}', "line 2, column 6"),
        (b'{"a": 1} trailing {}', "more follows after the end"),
        (b"{'a': 1, 'b': 2, 'c': 3}", "single quotes stand where double quotes belong"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b'{"a": [-Infinity]}', "-Infinity is no JSON number"),
        (b'{"a": 1e999}', "the number 1e999 is too large"),
        (b'{"a": -1e999}', "the number -1e999 is too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "an integer of 5,000 digits is too long"),
        (b'{"a": "\t tab", "b": "bbbbbbbbbb"}', "a bare control character"),
        (b"[1, 2]", "holds a list at the top level"),
        (b'"text"', "holds a string"),
        (b"12", "holds a number"),
        (b"null", "holds null"),
        (b"true", "holds a boolean"),
    ],
)
def test_refused_in_clear_words(data: bytes, words: str) -> None:
    """What is wrong is said, with the place where it is known, and is not taken for a torn write."""
    error = refused(data)
    assert words in error.message
    assert not error.torn


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 500, 2_000, 90_000])
@pytest.mark.parametrize("opener", [b"[", b'{"a":'])
def test_deep_nesting_is_refused(depth: int, opener: bytes) -> None:
    """Nesting beyond the limit is one clear error, however far beyond."""
    closer = b"]" if opener == b"[" else b"}"
    inner = depth - 1
    error = refused(b'{"a":' + opener * inner + b"1" + closer * inner + b"}")
    assert error.message == f"state.json is nested deeper than {MAX_DEPTH} levels"


def test_nesting_up_to_the_limit_is_taken() -> None:
    """A hundred levels are fine, and so are many brackets side by side or in strings."""
    inner = MAX_DEPTH - 1
    assert decoded(b'{"a":' + b"[" * inner + b"]" * inner + b"}")
    assert decoded(b'{"a":[' + b"[]," * 500 + b"{}]}")
    assert decoded(b'{"a":"' + b"[{" * 500 + b'"}') == {"a": "[{" * 500}


def test_more_values_than_anybody_needs() -> None:
    """Values are counted before they are parsed, when there are bytes enough for too many of them."""
    assert len(decoded(b'{"a":[' + b"0," * (MAX_VALUES - 3) + b"0]}")["a"]) == MAX_VALUES - 2
    error = refused(b'{"a":[' + b"0," * MAX_VALUES + b"0]}")
    assert error.message == "state.json holds about 100,002 values; at most 100,000 are read"
    assert not error.torn
    assert decoded(b'{"a":"' + b"x" * MAX_VALUES + b'"}')


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{\n<<<<<<< HEAD\n", "state.json holds an unresolved merge conflict (line 2)"),
        (b"<!DOCTYPE html>", "state.json is not JSON: it looks like a web page or XML"),
        (b"topic: x\n", "state.json is not JSON: it looks like plain text"),
        (b"// hello\n{}", "state.json is not JSON: a comment, which JSON does not know (line 1, column 1)"),
        (
            b'{"a": [1,]}',
            "state.json is not JSON: a comma stands before a closing bracket (line 1, column 10)",
        ),
        (b'{"a": 1', "state.json is not JSON: it ends too early (line 1, column 8)"),
        (b'{"topic": "{{\\u001b[31m}}"}', r"state.json is an unfilled template: topic is still {{\x1b[31m}}"),
    ],
)
def test_what_people_and_programs_leave_behind_is_named(data: bytes, words: str) -> None:
    """A conflict, a web page, a comment, half a file: the sentence says which, on one printable line."""
    assert refused(data).message == words


def test_deep_and_unstorable() -> None:
    """A hostile mixture of depth and escapes is refused, not recursed into."""
    refused(b'{"a":' + b"[" * 900 + b'"\\u0000"' + b"]" * 900 + b"}")


@pytest.mark.parametrize("before", ["", " ", "-", "\t", "\r\n", "[", "[1,", '{"n":'])
def test_long_integers_are_told_from_long_names(before: str) -> None:
    """A commit id of digits is no number, and hides none; wherever a number stands it stays exact."""
    number = 2**70 + 1
    close = {"[": "]", "{": "}"}.get(before[:1], "")
    document = f'{{"sha":"{"0" * 40}","deep": {before}{number}{close},"more":["{"1" * 19}",1.{"0" * 30}1]}}'
    tree = decode(document.encode(), session_dir=HERE)
    deep = tree["deep"]
    found = deep[-1] if isinstance(deep, list) else deep["n"] if isinstance(deep, dict) else abs(deep)
    assert (found, type(found)) == (number, int)
    assert tree["sha"] == "0" * 40


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1, 10**30, 2**63 - 1, -(2**63)])
def test_long_integers_stay_exact(number: int) -> None:
    """No integer turns into a float."""
    value = decoded(f'{{"a": {number}}}'.encode())["a"]
    assert value == number
    assert isinstance(value, int)


def test_unstorable_characters_are_replaced_in_what_is_mirrored() -> None:
    """NUL and lone surrogates become U+FFFD, in keys too; the exact parse keeps them."""
    data = rb'{"k\u0000": ["a\ud800b", {"x": "\uDFFF"}], "n": 1, "fine": "\ud83d\ude00", "bs": "\\u0000"}'
    assert decoded(data) == {
        "k\ufffd": ["a\ufffdb", {"x": "\ufffd"}],
        "n": 1,
        "fine": "😀",
        "bs": "\\u0000",
    }
    assert sanitized(data)
    exact = parse_exactly(data, session_dir=HERE)
    assert exact["k\0"] == ["a\ud800b", {"x": "\udfff"}]


def test_nul_alone_takes_the_fast_path() -> None:
    """NUL is replaced also where nothing else is odd."""
    assert decoded(rb'{"a": "x\u0000y"}') == {"a": "x\ufffdy"}
    assert sanitized(rb'{"a": "x\u0000y"}')
    assert not sanitized(rb'{"a": "\\u0000 \ud83d\ude00"}')
    assert not sanitized(b'{"a": "plain"}')


@pytest.mark.parametrize("key", ["session_id", "topic", "created_at"])
def test_templates_are_refused_by_name(key: str) -> None:
    """A placeholder that nobody filled in is named."""
    error = refused(json.dumps(builders.v2(**{key: " {{ SESSION_TOPIC }} "})).encode())
    assert error.message == f"state.json is an unfilled template: {key} is still {{{{SESSION_TOPIC}}}}"
    assert not error.torn


def test_braces_in_a_topic_are_no_template() -> None:
    """A topic that talks about placeholders is a topic, and a non-string one is left to the reader."""
    for topic in ("{{a}} and {{b}}", "{{ open", "use {{NAME}}", 7, None):
        assert decoded(json.dumps({"topic": topic}).encode())["topic"] == topic


@PATIENT
@given(st.binary(max_size=200))
def test_any_bytes_give_an_object_or_a_sentence(data: bytes) -> None:
    """Nothing but an object or the one error comes out."""
    try:
        assert isinstance(decoded(data), dict)
    except StateInvalidError as error:
        assert error.message  # noqa: PT017 - both outcomes are right


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@PATIENT
@given(st.dictionaries(st.text(), JSON), st.booleans())
def test_decode_agrees_with_the_standard_parser(document: dict, ascii_only: bool) -> None:
    """For whatever is storable, the fast path and the standard library say the same."""
    text = json.dumps(document, ensure_ascii=ascii_only)
    if "\0" in repr(document) or "\\x00" in repr(document) or "{{" in text:
        return
    assert decoded(text.encode()) == json.loads(text)


def test_other_inputs_are_named() -> None:
    """An error names the file it is about."""
    with pytest.raises(StateInvalidError, match=r"^plan\.json is empty$"):
        decode(b"", session_dir=HERE, name="plan.json")


def test_kinds_have_words() -> None:
    """Every kind of JSON value has a word; both spellings of a number have the same."""
    values = (None, True, "x", 1, 1.0, [], {})
    words = ["null", "a boolean", "a string", "a number", "a number", "a list", "an object"]
    assert [json_kind(value) for value in values] == words
