"""Reading a log back: logfmt taken apart, and what must never be in one."""

import json
import re
from typing import Any

_PAIR = re.compile(r'([A-Za-z_][A-Za-z0-9_.]*)=("(?:[^"\\\x00-\x1f]|\\.)*"|[^\s"=]+)( |$)')
_FIRST = ("ts", "level", "event", "msg")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def fields(line: str) -> dict[str, str]:
    """Return the fields of a logfmt line; fails on one that is torn, forged or of another form."""
    found: dict[str, str] = {}
    position = 0
    while position < len(line):
        pair = _PAIR.match(line, position)
        assert pair is not None, f"not logfmt at {position}: {line!r}"
        key, value = pair[1], pair[2]
        assert key not in found, f"{key} twice: {line!r}"
        found[key] = json.loads(value) if value.startswith('"') else value
        position = pair.end()
    _check(found, line)
    return found


def tree(line: str) -> dict[str, Any]:
    """Return the fields of a JSON line; fails on one that is torn or of another form."""
    found = json.loads(line)
    assert isinstance(found, dict)
    _check(found, line)
    return found


def lines(data: bytes) -> list[str]:
    """Return the lines of a log; fails when the last is torn, or a character is not printable."""
    assert not data or data.endswith(b"\n"), f"torn: {data[-200:]!r}"
    texts = data.decode().split("\n")[:-1]
    assert all(text.isprintable() for text in texts), [text for text in texts if not text.isprintable()]
    return texts


def _check(found: dict[str, Any], line: str) -> None:
    assert tuple(found)[:4] == _FIRST, line
    assert _STAMP.fullmatch(found["ts"]), line
    assert found["level"] in {"debug", "info", "warning", "error", "critical"}, line
    assert re.fullmatch(r"[a-z]+(\.[a-z0-9_]+)+", found["event"]), line
