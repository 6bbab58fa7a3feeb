"""From bytes to a JSON object, or to a sentence that says why not. Pure: no I/O.

`decode` serves the mirror: fast, and its strings can be stored by any database. `parse_exactly` serves the
manager: it keeps what `decode` has to replace, so that an edit does not destroy it.
"""

import codecs
import json
import re
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import orjson

from sessionlib.errors import StateInvalidError
from sessionlib.state.layout import STATE_FILE

MAX_DEPTH = 100
"""Deepest nesting taken: parsers and databases disagree on theirs, so we stay below all of them."""

MAX_VALUES = 100_000
"""Most values taken: parsed, each costs up to a hundred bytes of memory, however short it is in the file."""

_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"
_FOREIGN_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_PLACEHOLDER = re.compile(r"\s*\{\{\s*([^{}]*?)\s*\}\}\s*")
_PLACEHOLDER_KEYS = ("session_id", "topic", "created_at")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_ESCAPED_UNSTORABLE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")

# All digits to "0": so a search in C finds long integers, twenty times as fast as a regular expression.
_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_INTEGER = b"0" * 19  # the shortest that may not fit 64 bit, where orjson turns to floats

_BEFORE_A_NUMBER = frozenset(map(bytes, zip(b"-:,[ \t\r\n")))

_LITERAL_TAIL = 12
"""Longest rest, in characters, that a cut-off literal, number or escape can be."""

_MOST_QUOTED = 40
"""Characters of the file that an error quotes."""

_CONFLICT = re.compile(r"^(?:<{7}|>{7}) ", re.MULTILINE)

_WORDS = {
    "Expecting value": "a value is missing or misspelt",
    "Expecting ',' delimiter": "a comma or a closing bracket is missing",
    "Expecting ':' delimiter": "a colon is missing",
    "Expecting property name enclosed in double quotes": "a name in double quotes is missing",
    "Illegal trailing comma before end of object": "a comma stands before a closing bracket",
    "Illegal trailing comma before end of array": "a comma stands before a closing bracket",
    "Extra data": "more follows after the end of the document",
    "Unterminated string starting at": "a string has no end",
    "Invalid control character at": "a string holds a bare control character, such as a line break",
    "Invalid \\escape": "a string holds a backslash that escapes nothing",
    "Invalid \\u": "a string holds a \\u without four hexadecimal digits",
}
"""How what Python's parser says begins, in words for those who do not write parsers."""


class _NotJsonError(ValueError):
    """A value that Python's parser takes and JSON does not know."""


class _Source(NamedTuple):
    """What is read, for the words of an error."""

    session_dir: Path
    name: str

    def refuse(self, problem: str, *, torn: bool = False) -> StateInvalidError:
        return StateInvalidError(f"{self.name} {problem}", session_dir=self.session_dir, torn=torn)


def decode(data: bytes, *, session_dir: Path, name: str = STATE_FILE) -> dict[str, Any]:
    r"""Turn the content of a state.json into a dict.

    A BOM is accepted, of duplicate keys the last one wins, NUL characters and lone surrogates in strings
    become U+FFFD (see `sanitized`).

    Args:
        data: The file's bytes.
        session_dir: For errors.
        name: The input's name, for errors: plan.json and research runs are decoded alike.

    Raises:
        StateInvalidError: The bytes are no JSON object we can take; with `torn` set where they look like
            half of a write.
    """
    source = _Source(session_dir, name)
    body = _body(data, source)
    if not _has_long_integer(body):
        try:
            tree = orjson.loads(body)
        except orjson.JSONDecodeError:
            tree = None  # the standard parser words it better, and takes lone surrogates
        if tree is not None:
            document = _document(tree, body, source)
            return _clean_object(document) if b"\\u0000" in body else document
    document = _document(_strictly(body, source), body, source)
    return _clean_object(document) if _ESCAPED_UNSTORABLE.search(body) else document


def _has_long_integer(body: bytes) -> bool:
    """Tell whether a number may have too many digits for 64 bit; those in a commit's id are none."""
    digits = body.translate(_ZEROS)
    at = digits.find(_LONG_INTEGER)
    while at >= 0:
        if digits[at - 1 : at] in _BEFORE_A_NUMBER:
            return True
        at = digits.find(_LONG_INTEGER, at + len(_LONG_INTEGER))
    return False


def parse_exactly(data: bytes, *, session_dir: Path) -> dict[str, Any]:
    """Turn the content of a state.json into a dict that keeps every character and every digit.

    Raises:
        StateInvalidError: As `decode`.
    """
    source = _Source(session_dir, STATE_FILE)
    body = _body(data, source)
    return _document(_strictly(body, source), body, source)


def sanitized(data: bytes) -> bool:
    """Tell whether `decode` replaces characters in these bytes (which it must be able to take)."""
    if not _ESCAPED_UNSTORABLE.search(data):
        return False
    tree = json.loads(data.removeprefix(codecs.BOM_UTF8).decode())
    return bool(_clean(tree) != tree)


def _body(data: bytes, source: _Source) -> bytes:
    """Return the bytes without a BOM."""
    for mark, encoding in _FOREIGN_MARKS:
        if data.startswith(mark):
            problem = f"is {encoding} text; UTF-8 is needed"
            raise source.refuse(problem)
    body = data.removeprefix(codecs.BOM_UTF8)
    if not body.strip(b" \t\r\n\0"):
        # Zeros are what some file systems leave of a file after a power cut.
        raise source.refuse("is empty", torn=True)
    if b"\0" in (start := body[:4]) and start.isascii():
        raise source.refuse("is UTF-16 or UTF-32 text; UTF-8 is needed")
    # Each value but a container's first follows a comma. A short file need not be counted.
    if len(body) > MAX_VALUES and (values := sum(map(body.count, (b",", b"[", b"{")))) > MAX_VALUES:
        problem = f"holds about {values:,} values; at most {MAX_VALUES:,} are read"
        raise source.refuse(problem)
    return body


def _strictly(body: bytes, source: _Source) -> Any:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        problem = f"is not UTF-8: {error.reason} at byte {error.start} (line {line})"
        raise source.refuse(problem, torn=error.reason == "unexpected end of data") from error
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise source.refuse(_syntax_problem(text, error), torn=_looks_torn(text, error)) from error
    except _NotJsonError as error:
        problem = f"is not JSON: {error}"
        raise source.refuse(problem) from error
    except RecursionError as error:
        raise source.refuse(_TOO_DEEP) from error


def _syntax_problem(text: str, error: json.JSONDecodeError) -> str:
    """Say what is wrong where; mistakes that are no slip of the pen are named as what they are."""
    if (conflict := _CONFLICT.search(text)) is not None:
        line = text.count("\n", 0, conflict.start()) + 1
        return f"holds an unresolved merge conflict (line {line})"
    if error.pos == 0 and text.startswith("\ufeff"):
        return "is not JSON: it begins with two byte order marks"
    if not (before := text[: error.pos].rstrip()) and not text[error.pos :].startswith(("//", "/*", "#")):
        looks = "a web page or XML" if text[error.pos] == "<" else "plain text"
        return f"is not JSON: it looks like {looks}"
    return f"is not JSON: {_slip(text, before, error)} (line {error.lineno}, column {error.colno})"


def _slip(text: str, before: str, error: json.JSONDecodeError) -> str:
    """Name what people write who take JSON for a programming language, else what the parser missed."""
    if not text[error.pos :].strip():
        return "it ends too early"
    rest = text[error.pos : error.pos + 2]
    if rest[:1] == "'":
        return "single quotes stand where double quotes belong"
    if rest in {"//", "/*"} or rest[:1] == "#":
        return "a comment, which JSON does not know"
    if before.endswith(",") and rest[:1] in {"}", "]"}:
        return "a comma stands before a closing bracket"
    return next((words for begin, words in _WORDS.items() if error.msg.startswith(begin)), error.msg)


def _looks_torn(text: str, error: json.JSONDecodeError) -> bool:
    """Tell whether the text ends where something was still to come."""
    end = len(text.rstrip())
    if error.msg.startswith("Unterminated string") or error.pos >= end:
        return True
    return end - error.pos <= _LITERAL_TAIL and not text[:end].endswith(("}", "]"))


def _no_constant(name: str) -> NoReturn:
    message = f"{name} is no JSON number"
    raise _NotJsonError(message)


def _finite(digits: str) -> float:
    number = float(digits)
    if number in {float("inf"), float("-inf")}:
        message = f"the number {digits[:20]} is too large"
        raise _NotJsonError(message)
    return number


def _integer(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        message = f"an integer of {len(digits):,} digits is too long"
        raise _NotJsonError(message) from None


def _document(tree: Any, body: bytes, source: _Source) -> dict[str, Any]:
    if not isinstance(tree, dict):
        problem = f"holds {json_kind(tree)} at the top level, not an object"
        raise source.refuse(problem)
    # Counting is much cheaper than walking, and settles it for nearly every document.
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _is_too_deep(tree):
        raise source.refuse(_TOO_DEEP)
    for key in _PLACEHOLDER_KEYS:
        value = tree.get(key)
        if isinstance(value, str) and value.lstrip()[:2] == "{{" and (m := _PLACEHOLDER.fullmatch(value)):
            problem = f"is an unfilled template: {key} is still {{{{{_quoted(m[1])}}}}}"
            raise source.refuse(problem)
    return tree


def _quoted(text: str) -> str:
    """Return a piece of the file as an error may hold it: short, on one line, without codes for terminals."""
    short = text if len(text) <= _MOST_QUOTED else text[: _MOST_QUOTED - 1] + "…"
    return short if short.isprintable() else repr(short)[1:-1]


def _is_too_deep(tree: dict[str, Any]) -> bool:
    level: list[Any] = [tree]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return False
    return True


def _clean_object(document: dict[str, Any]) -> dict[str, Any]:
    return {_clean(key): _clean(value) for key, value in document.items()}


def _clean(node: Any) -> Any:
    """Replace what no database stores; the depth was checked, so the recursion ends."""
    if isinstance(node, str):
        return _UNSTORABLE.sub("\ufffd", node)
    if isinstance(node, dict):
        return {_clean(key): _clean(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_clean(value) for value in node]
    return node


def json_kind(value: object) -> str:
    """Name the kind of a JSON value for a person; 100 and 1e2 are both a number."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, (int, float)):
        return "a number"
    return "a list" if isinstance(value, list) else "an object"
