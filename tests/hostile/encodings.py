"""Files in other encodings, with broken UTF-8, and with characters that databases do not store."""

import codecs
import json

from tests import builders
from tests.hostile.entry import Entry, refused, taken

_TEXT = json.dumps(builders.v2_building(topic="Größe 大きさ 😀"), ensure_ascii=False)
_PLAIN = json.dumps(builders.v2_building())


def _around(middle: bytes) -> bytes:
    return b'{"topic": "a' + middle + b'b", "status": "active", "rest": "rest rest rest"}'


_BROKEN = {
    "latin-1": '{"topic": "Größe", "status": "active", "rest": "rest rest"}'.encode("latin-1"),
    "windows-1252": '{"topic": "“x”", "status": "active", "rest": "rest rest"}'.encode("cp1252"),
    "shift-jis": '{"topic": "大きさ", "status": "active", "rest": "rest"}'.encode("shift-jis"),
    "ebcdic": _PLAIN.encode("cp037"),
    "cut character": _around("😀".encode()[:-1]),
    "cut character at the end": '{"topic": "大'.encode()[:-1],
    "overlong slash": _around(b"\xc0\xaf"),
    "overlong zero": _around(b"\xc0\x80"),
    "cesu-8": _around(b"\xed\xa0\xbd\xed\xb8\x80"),
    "bare surrogate": _around(b"\xed\xa0\x80"),
    "beyond unicode": _around(b"\xf4\x90\x80\x80"),
    "five bytes": _around(b"\xf8\x88\x80\x80\x80"),
    "continuation alone": _around(b"\x80"),
    "byte 255": _around(b"\xff"),
    "bad key": b'{"a\xffb": 1, "topic": "x", "rest": "rest rest rest"}',
}


def entries() -> list[Entry]:
    """Return the entries."""
    wide = [
        refused(f"{name}{' marked' if mark else ''}", mark + _TEXT.encode(name), "UTF-8 is needed")
        for name, mark in (
            ("utf-16-le", codecs.BOM_UTF16_LE),
            ("utf-16-be", codecs.BOM_UTF16_BE),
            ("utf-32-le", codecs.BOM_UTF32_LE),
            ("utf-32-be", codecs.BOM_UTF32_BE),
            ("utf-16-le", b""),
            ("utf-16-be", b""),
            ("utf-32-le", b""),
            ("utf-32-be", b""),
        )
    ]
    mark = codecs.BOM_UTF8
    return [
        *(refused(name, data, "is not UTF-8") for name, data in _BROKEN.items()),
        *wide,
        taken("mark", mark + _TEXT.encode()),
        refused("double mark", mark + mark + _TEXT.encode(), "two byte order marks"),
        refused("mark within", b"{" + mark + _TEXT.encode()[1:], "is not JSON"),
        refused("utf-7", "+AHsAIgB0AG8AcABpAGMAIg", "looks like plain text"),
        *_escapes(),
    ]


def _escapes() -> list[Entry]:
    halves = {
        "zero in a value": r"a\u0000b",
        "only zeros": r"\u0000\u0000",
        "high half": r"a\ud800b",
        "low half": r"a\udfffb",
        "halves the wrong way round": r"\ude00\ud83d",
        "half before a pair": r"\ud83d\ud83d\ude00",
        "half at the end": r"abc\ud83d",
        "upper-case half": r"\uDBFF",
        "noncharacters": r"\uffff\ufffe\ufdd0",
        "all control characters": "".join(f"\\u{n:04x}" for n in range(32)),
        "escaped backslashes": r"\\u0000 \\ud800 \\\\ \\N \\.",
    }
    fields = ("topic", "description", "status", "current_phase", "session_id", "prior_session")
    found = [
        taken(
            name, json.dumps(builders.v2_building(**dict.fromkeys(fields, "@"))).replace("@", text), "status"
        )
        for name, text in halves.items()
    ]
    commit = '{"topic": "x", "commits": [{"sha": "a%s", "message": "%s", "created_at": "%s"}]}'
    return [
        *found,
        taken("zero in a commit", commit % ((r"\u0000",) * 3), "commits[0].created_at"),
        taken("half in a commit", commit % ((r"\udc00",) * 3), "commits[0].created_at"),
        taken("zero in a key", r'{"a\u0000b": 1, "\u0000": {"\u0000": 2}, "topic": "x"}'),
        taken("half in a key", r'{"a\ud800b": 1, "\udfff": {"\ud800": 2}, "topic": "x"}'),
        taken("keys alike once cleaned", r'{"k\u0000": 1, "k\ud800": 2, "k\ufffd": 3, "topic": "x"}'),
        taken(
            "half and a long integer", r'{"topic": "\ud800", "n": 18446744073709551616, "d": [1e2, -0, 1.0]}'
        ),
        taken("half in a link", r'{"conversations": [{"client": "\ud800", "native_id": "\u0000"}]}'),
        taken(
            "half in a decision", r'{"key_decisions": [{"decision": "\ud800", "date": "\ud800"}]}', "key_dec"
        ),
    ]
