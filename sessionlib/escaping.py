"""Text that cannot forge, tear or hide anything in a line."""

_BYTE_MARKS = range(0xDC80, 0xDD00)
"""What stands in a str for a byte of a file name that is no UTF-8."""

_SURROGATES = range(0xD800, 0xE000)


def escaped(text: str) -> str:
    r"""Return text as it stands between the quotes of a JSON string: printable and on one line.

    Everything Unicode calls unprintable is escaped: controls, line and paragraph separators, bidirectional
    and other invisible formatting, odd spaces. A lone surrogate, which no strict JSON reader takes, is spelt
    out with two backslashes, a byte of a file name as ``\\xff``.
    """
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return text.translate(_TABLE)


def _spelt(code: int) -> str:
    if chr(code).isprintable():
        return chr(code)
    if code in _BYTE_MARKS:
        return f"\\\\x{code - 0xDC00:02x}"
    if code in _SURROGATES:
        return f"\\\\u{code:04x}"
    if code > 0xFFFF:  # noqa: PLR2004 - JSON escapes UTF-16 units
        high, low = divmod(code - 0x10000, 0x400)
        return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
    return f"\\u{code:04x}"


class _Table(dict[int, str]):
    """The escapes of Latin-1; those of other characters are made each time, to stay small."""

    def __missing__(self, code: int) -> str:
        return _spelt(code)


_TABLE = _Table({code: _spelt(code) for code in range(256)})
_TABLE.update({ord('"'): '\\"', ord("\\"): "\\\\", 8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"})
