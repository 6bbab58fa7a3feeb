"""Files that are no JSON, or not quite: what editors, programs, people and power cuts leave behind."""

import base64
import gzip
import json

from tests import builders
from tests.hostile.entry import Entry, refused, taken

GOOD = json.dumps(builders.hybrid_21_keys(), indent=2)

_CONFLICT = """{
  "session_id": "x",
<<<<<<< HEAD
  "topic": "ours",
=======
  "topic": "theirs",
>>>>>>> branch
  "status": "active"
}
"""

_NOT_JSON = {
    "json5": ("{topic: 'x', list: [1, 2,], /* all */ hex: 0x1f}", "a name in double quotes is missing"),
    "single quotes": ("{'topic': 'x', 'status': 'active'}", "single quotes"),
    "python": ('{"topic": None, "done": True, "rest": "rest rest rest"}', "a value is missing or misspelt"),
    "javascript": ('{"topic": undefined, "rest": "rest rest rest"}', "a value is missing or misspelt"),
    "comment first": ('// state\n{"topic": "x"}', "a comment"),
    "comment within": ('{"topic": "x", // why\n "status": "active", "rest": "rest"}', "a comment"),
    "hash comment": ('# state\n{"topic": "x"}', "a comment"),
    "trailing comma in object": ('{"topic": "x", "status": "active",\n}', "a comma stands before"),
    "trailing comma in list": ('{"commits": [1, 2,], "rest": "rest rest"}', "a comma stands before"),
    "missing comma": ('{"topic": "x"\n "status": "active"}', "line 2, column 2"),
    "missing colon": ('{"topic" "x", "status": "active"}', "a colon is missing"),
    "missing brace": (GOOD.rstrip()[:-1], "ends too early"),
    "too many braces": (GOOD + "}", "more follows after the end"),
    "two documents": ('{"topic": "x"}{"topic": "y"}', "more follows after the end"),
    "json lines": ('{"topic": "x"}\n{"topic": "y"}\n', "more follows after the end"),
    "trailing words": (GOOD + " saved by hand", "more follows after the end"),
    "trailing zeros": (GOOD + "\0" * 64, "more follows after the end"),
    "yaml": ("topic: x\nstatus: active\n", "looks like plain text"),
    "toml": ('[session]\ntopic = "x"\n', "is not JSON"),
    "csv": ("topic,status\nx,active\n", "looks like plain text"),
    "env": ("TOPIC=x\nSTATUS=active\n", "looks like plain text"),
    "html": ("<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>", "a web page or XML"),
    "xml": ('<?xml version="1.0"?><session/>', "a web page or XML"),
    "shell error": ("bash: line 1: jq: command not found\n", "looks like plain text"),
    "git pointer": ("version https://git-lfs.example/spec/v1\noid sha256:00\nsize 12\n", "plain text"),
    "merge conflict": (_CONFLICT, "unresolved merge conflict (line 3)"),
    "nan": ('{"n": NaN}', "NaN is no JSON number"),
    "infinity": ('{"n": Infinity}', "Infinity is no JSON number"),
    "minus infinity": ('{"n": [-Infinity]}', "-Infinity is no JSON number"),
    "1e999": ('{"n": 1e999}', "the number 1e999 is too large"),
    "1e400": ('{"n": -1e400}', "the number -1e400 is too large"),
    "leading zero": ('{"n": 007, "rest": "rest rest"}', "a comma or a closing bracket is missing"),
    "plus sign": ('{"n": +1, "rest": "rest rest"}', "a value is missing or misspelt"),
    "bare point": ('{"n": .5, "rest": "rest rest"}', "a value is missing or misspelt"),
    "hexadecimal": ('{"n": 0x1F, "rest": "rest rest"}', "a comma or a closing bracket is missing"),
    "line break in a string": ('{"topic": "a\nb", "rest": "rest rest"}', "a bare control character"),
    "tab in a string": ('{"topic": "a\tb", "rest": "rest rest"}', "a bare control character"),
    "escape code in a string": ('{"topic": "\x1b[31mred\x1b[0m"}', "a bare control character"),
    "raw zero in a string": ('{"topic": "a\0b", "rest": "rest"}', "a bare control character"),
    "bad escape": (r'{"topic": "\x41", "rest": "rest rest"}', "escapes nothing"),
    "short escape": (r'{"topic": "\u12", "rest": "rest rest"}', "four hexadecimal digits"),
    "form feed between": ('{"topic":\f"x", "rest": "rest rest"}', "is not JSON"),
    "list": ("[]", "holds a list at the top level"),
    "list of sessions": (f"[{GOOD}]", "holds a list at the top level"),
    "string": ('"state"', "holds a string at the top level"),
    "document in a string": (json.dumps(GOOD), "holds a string at the top level"),
    "number": ("42", "holds a number at the top level"),
    "null": ("null", "holds null at the top level"),
    "true": ("true", "holds a boolean at the top level"),
    "placeholder session_id": ('{"session_id": "{{SESSION_ID}}"}', "session_id is still {{SESSION_ID}}"),
    "placeholder topic": ('{"topic": " {{ TOPIC }} "}', "an unfilled template: topic is still {{TOPIC}}"),
    "placeholder created_at": ('{"created_at": "{{ISO_NOW}}"}', "created_at is still {{ISO_NOW}}"),
    "placeholder with codes": (r'{"topic": "{{\u001b[31m\n\u202e}}"}', r"{{\x1b[31m\n\u202e}}"),
    "long placeholder": ('{"topic": "{{' + "x" * 100_000 + '}}"}', "xxx…}}"),
}
_EMPTY = {
    "empty": b"",
    "blanks": b" \n\t\r\n ",
    "zeros": b"\0" * 4096,
    "only a mark": b"\xef\xbb\xbf",
    "blanks and zeros": b"\n\0\0\0\n",
}
_BINARY = {
    "image": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "packed": gzip.compress(GOOD.encode(), mtime=0),
    "random": bytes((n * 131 + 89) % 251 + 4 for n in range(4096)),
}


def entries() -> list[Entry]:
    """Return the entries."""
    return [
        *(refused(name, data, words) for name, (data, words) in _NOT_JSON.items()),
        *(refused(name, data, "state.json is empty") for name, data in _EMPTY.items()),
        *(refused(name, data, "is not UTF-8") for name, data in _BINARY.items()),
        refused("base64", base64.b64encode(GOOD.encode()), "looks like plain text"),
        *_truncated(),
        taken("placeholder elsewhere", builders.v2(description="{{DESCRIPTION}}")),
        taken(
            "duplicate keys", '{"topic": "first", "topic": "last", "status": "active", "status": 1}', "status"
        ),
        taken(
            "duplicate keys within", '{"git": {"branch": "a", "branch": ["b"]}, "topic": "x"}', "git.branch"
        ),
        taken("carriage returns", GOOD.replace("\n", "\r\n")),
        taken("one line", json.dumps(builders.hybrid(), separators=(",", ":"))),
        taken("much white space", GOOD.replace("\n", "\n" * 400)),
        taken("empty object", "{}"),
        taken("escaped slashes", GOOD.replace("/", "\\/")),
    ]


def _truncated() -> list[Entry]:
    """Return the document cut at many places, each of which lies within it."""
    words = "state.json is not JSON"
    return [
        refused(f"cut at {part} of 24", GOOD[: len(GOOD) * part // 24], words) for part in range(1, 24)
    ] + [refused(f"cut {count} before the end", GOOD[:-count], words) for count in (1, 2, 3, 5, 8)]
