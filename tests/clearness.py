"""What every refusal of a command must be like."""

import re
import unicodedata

CODES = {0, 1, 2, 3, 69, 75, 78}
"""The exit codes of design.md, section 10."""

_TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that turn the direction of a text."""

_TOLD = re.compile(r"session(ctl|d): \S")


def is_harmless(line: str) -> bool:
    """Tell whether a terminal obeys nothing in a line; characters without a meaning do no harm."""
    return all(char.isprintable() or _is_mark(char) for char in line)


def _is_mark(char: str) -> bool:
    """Tell whether a character is unassigned, private, or a mark that turns no direction."""
    return unicodedata.category(char) in {"Cn", "Co", "Cf"} and char not in _TURNING


def check(code: int, err: str, what: object, *, with_hint: bool = True) -> None:
    """See that a call ended in order: a known code, and a sentence with a hint where it refused something.

    `sessiond check-config` lists what is wrong, each with its hint: it has none at the end.
    """
    assert code in CODES, (what, code, err)
    assert "Traceback" not in err, (what, err)
    assert "unexpected" not in err, (what, err)
    assert all(map(is_harmless, err.splitlines())), (what, err)
    if with_hint and code in {2, 69, 75, 78}:
        lines = err.splitlines()
        assert lines, what
        assert all(_TOLD.match(line) for line in lines[:-1]), (what, err)
        assert lines[-1].startswith("  hint: "), (what, err)
    assert code in {0, 1, 3} or len(err) < 9000, (what, len(err))
