"""From a changed document back to text, in the style of the file it came from.

People and agents read these files and keep them in git: a save must show what changed and nothing else. So
every value that is equal keeps its very text, spelling of numbers and escapes included, and a changed object
or list keeps the line breaks and the indentation it had.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

_BLANK = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACED_COLON = re.compile(r'"[ \t]*: ')
_DECODER = json.JSONDecoder()


class _Style(NamedTuple):
    """How the file writes what it did not have before; without `indent` it is one line."""

    indent: str | None
    newline: str
    comma: str
    colon: str
    ascii_only: bool

    def inline(self) -> "_Style":
        comma = self.comma if self.indent is None else ", "
        return self._replace(indent=None, comma=comma)


@dataclass(frozen=True, slots=True)
class _Part:
    """One member or item of the old text: its key as text and as a name (both empty in a list), its value."""

    key: str
    name: str
    text: str


_PLAIN = _Style(indent="  ", newline="\n", comma=",", colon=": ", ascii_only=False)


def render(document: dict[str, Any]) -> bytes:
    """Return a new file's content: two spaces, one trailing line break.

    Raises:
        ValueError: A value is no JSON (TypeError when its type is none).
    """
    return (_fresh(document, _PLAIN, "") + "\n").encode()


def rewrite(old: bytes, document: dict[str, Any]) -> bytes:
    """Return the content of `old` with the values of `document`.

    Args:
        old: The file's bytes, which must hold a JSON object.
        document: What it shall say; its order of keys is the order in the file.

    Raises:
        ValueError: A value is no JSON (TypeError when its type is none).
    """
    text = old.decode()
    start = text.index("{")
    _, end = _DECODER.raw_decode(text, start)
    return (
        text[:start] + _again(document, text[start:end], _style_of(text[start:end])) + text[end:]
    ).encode()


def same(one: object, other: object) -> bool:
    """Tell whether two JSON values are written alike: 1, 1.0 and true differ, and so do orders of keys."""
    return json.dumps(one) == json.dumps(other)


def _style_of(text: str) -> _Style:
    lead = _lead(text)
    ascii_only = text.isascii() and "\\u" in text
    if text[1:-1].isspace() or text == "{}":
        return _PLAIN
    if "\n" in lead:
        newline = "\r\n" if "\r\n" in lead else "\n"
        return _Style(lead.rpartition("\n")[2], newline, ",", ": ", ascii_only)
    spaced = _SPACED_COLON.search(text) is not None
    return _Style(None, "\n", ", " if spaced else ",", ": " if spaced else ":", ascii_only)


def _lead(text: str) -> str:
    """Return the white space after a container's opening bracket."""
    blank = _BLANK.match(text, 1)
    return blank[0] if blank else ""


def _again(value: object, old: str, style: _Style, margin: str = "") -> str:
    """Write a value where `old` stood, on a line that begins with `margin`."""
    was = _DECODER.decode(old)
    if same(value, was):
        return old
    inner = _lead(old).rpartition("\n")[2]
    if isinstance(value, dict) and isinstance(was, dict) and value and was:
        members = {part.name: part for part in _parts(old)}
        lines = [_member(key, item, members.get(key), style, inner) for key, item in value.items()]
        return _container(lines, old, style)
    if isinstance(value, list) and isinstance(was, list) and value and was:
        texts = [part.text for part in _parts(old)]
        # A list of one-line objects goes on with one-line objects.
        appended = style if "\n" in texts[-1] else style.inline()
        lines = [_again(item, text, style, inner) for item, text in zip(value, texts, strict=False)]
        lines += [_fresh(item, appended, inner) for item in value[len(texts) :]]
        return _container(lines, old, style)
    return _fresh(value, style, margin)


def _member(key: str, value: object, old: _Part | None, style: _Style, margin: str) -> str:
    if old is None:
        return f"{_fresh(key, style, '')}{style.colon}{_fresh(value, style, margin)}"
    return f"{old.key}{_again(value, old.text, style, margin)}"


def _container(lines: Iterable[str], old: str, style: _Style) -> str:
    """Join the lines between the old brackets, with the old white space."""
    lead = _lead(old)
    body = old[1:-1]
    tail = body[len(body.rstrip(" \t\r\n")) :]
    comma = "," + lead if "\n" in lead else style.inline().comma
    return f"{old[0]}{lead}{comma.join(lines)}{tail}{old[-1]}"


def _parts(text: str) -> Iterable[_Part]:
    """Take a container's text apart, one level deep; it must be valid and not empty."""
    position = _skip(text, 1)
    keyed = text[0] == "{"
    while position < len(text) - 1:
        begin = position
        name = ""
        if keyed:
            name, position = _DECODER.raw_decode(text, position)
            position = _skip(text, _skip(text, position) + 1)  # the colon
        key = text[begin:position]
        _, end = _DECODER.raw_decode(text, position)
        yield _Part(key, name, text[position:end])
        position = _skip(text, _skip(text, end) + 1)  # the comma, or the closing bracket


def _skip(text: str, position: int) -> int:
    blank = _BLANK.match(text, position)
    return blank.end() if blank else position


def _fresh(value: object, style: _Style, margin: str) -> str:
    """Write a value that was not there before."""
    text = json.dumps(
        value,
        indent=style.indent,
        ensure_ascii=style.ascii_only,
        separators=(style.comma, style.colon),
        allow_nan=False,
    )
    # Strings hold no raw line breaks, so each one here is the writer's own.
    text = text.replace("\n", style.newline + margin)
    # Lone surrogates have no UTF-8; escaped they are what they were.
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
