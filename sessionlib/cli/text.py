"""Values as text that is safe and easy to read: nothing a file holds can steer a terminal.

Topics, paths and error messages were written by others. In what people see, every character that a terminal
obeys instead of showing it becomes a visible escape, so that one row stays one line.

`sessionctl status` must start fast: what it does not need is imported, or compiled, where it is used.
"""

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import TextIO

_CONTROL = "\x00-\x1f\x7f-\x9f"
_DIRECTION = "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f"
_SURROGATE = "\ud800-\udfff"
_HOSTILE = f"[{_CONTROL}{_DIRECTION}{_SURROGATE}]"
_UNSAFE_IN_JSON = f"[\x7f-\x9f{_DIRECTION}{_SURROGATE}]"
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_BYTE = 0x100
_BASIC_PLANE = 0x10000

NOTHING = "-"
"""What stands for a value that is not there."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_TWO_UNITS = 2


def visible(text: str) -> str:
    """Return the text with every character that steers a terminal or turns its direction spelled out."""
    return text if text.isascii() and text.isprintable() else re.sub(_HOSTILE, _spelled, text)


def _spelled(match: "re.Match[str]") -> str:
    char = match[0]
    code = ord(char)
    if code < _BYTE:
        return _NAMED.get(char, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < _BASIC_PLANE else f"\\U{code:08x}"


def is_unicode(stream: "TextIO") -> bool:
    """Tell whether a stream takes any character."""
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")


def width(text: str) -> int:
    """Return how many columns a terminal needs for a text without control characters."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def cell(value: object) -> str:
    """Return a value as people read it; None and the empty text are a dash, times are local."""
    from datetime import datetime

    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return local(value)
    return visible(str(value))


def local(moment: "datetime") -> str:
    """Return a time on this machine's clock, to the minute."""
    try:
        return moment.astimezone().strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        return moment.isoformat(" ", "minutes")


def duration(seconds: float) -> str:
    """Return a number of seconds in its largest unit: ``12 s``, ``5 min``, ``3.5 h``, ``9 d``."""
    if seconds < _MINUTE:
        return f"{max(seconds, 0):.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    unit, name = (_HOUR, "h") if seconds < _TWO_UNITS * _DAY else (_DAY, "d")
    amount = f"{seconds / unit:.1f}".removesuffix(".0")
    return f"{amount} {name}"


def iso(moment: "datetime") -> str:
    """Return a time as JSON carries it: UTC, ``Z``."""
    from datetime import UTC

    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def json_text(value: object, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """Return JSON, any Unicode in it, without a character that a terminal would obey."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only, default=_plain)
    return text if text.isascii() and "\x7f" not in text else re.sub(_UNSAFE_IN_JSON, _json_escape, text)


def _json_escape(match: "re.Match[str]") -> str:
    code = ord(match[0])
    if code < _BASIC_PLANE:
        return f"\\u{code:04x}"
    code -= _BASIC_PLANE
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def _plain(value: object) -> object:
    from datetime import datetime

    if isinstance(value, datetime):
        return iso(value)
    return str(value)


def words(count: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun: ``1 session``, ``2 sessions``."""
    return f"{count} {one if count == 1 else many or one + 's'}"
