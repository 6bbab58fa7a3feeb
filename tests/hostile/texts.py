"""Texts that steer terminals, databases, formats and people, in every field for text."""

import unicodedata

from tests import builders
from tests.hostile.entry import Entry, taken, text_of, with_field
from tests.hostile.sizes import TEXT_FIELDS, full_document

TEXTS = {
    "escape codes": "\x1b[2J\x1b]0;title\x07\x1b[31mred\x1b[0m\x9b1m",
    "bell and backspace": "\a\b\b\b\r\v\f\x7f",
    "line breaks": "a\nb\r\nc\u2028d\u2029e\x85f",
    "right to left": "\u202e\u2066evil\u2069\u200f\u061c",
    "invisible": "\u200b\u200d\u2060\ufeff\u00ad\U000e0041\U000e007f",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈👍🏿🇩🇪",
    "combining": "Z" + "\u0335\u0353\u0310" * 200,
    "composed": unicodedata.normalize("NFC", "Größe é"),
    "decomposed": unicodedata.normalize("NFD", "Größe é"),
    "private and unassigned": "\ue000\U0010ffff\u0378\ufffd",
    "quotes": "'\"`\u2018\u2019\u201c\u201d\\'\\\"",
    "sql": "'); DROP TABLE sessions; --",
    "sql wildcards": "%_\\%\\_",
    "copy format": "\\N\t\\.\n\\\\N\n\\.\n\x01\x02",
    "copy end": "\\.",
    "spreadsheet": '=cmd|"/C calc"!A0,"a""b"',
    "format string": "%s %d %n %(x)s {0} {x.__class__} ${HOME} $(id) `id`",
    "braces": "{a}{b,c}{}",
    "json within": '{"topic": "inner", "list": [1, 2]}',
    "array within": "{1,2,NULL}",
    "script": "<script>alert(1)</script>&amp;<!--",
    "null words": "NULL",
    "path": "../../../../etc/passwd",
    "absolute path": "/dev/zero",
    "web address": "https://user:secret@host.example/path?x=1#y",
    "option": "--help",
    "only blanks": " \t ",
    "log line": "event=sessiond.ready level=info\nts=1 event=forged",
}
ODD_KEYS = {
    "prototype keys": ("__proto__", "constructor", "toString", "__class__", "__dict__"),
    "empty key": ("", " ", "\t"),
    "keys of other columns": ("project_id", "document", "slug", "error", "missing_since", "content_hash"),
    "keys with dots": ("git.branch", "commits[0]", "$.topic", "a->>b"),
    "quoted keys": ('"', "'", "\\", "`", "]"),
    "upper-case keys": ("TOPIC", "Status", "Current_Phase"),
    "twins": ("é", "e\u0301", "K", "\u212a"),
    "comment keys": ("_comment", "_example", "_status_values"),
    "numbers as keys": ("0", "1", "-1", "1e999", "NaN"),
    "escape codes in keys": ("\x1b[31m", "\r\n", "\u202e"),
}


def entries() -> list[Entry]:
    """Return the entries."""
    found = []
    for name, text in TEXTS.items():
        document = full_document()
        for field in TEXT_FIELDS:
            document = with_field(document, field, text)
        found.append(taken(name, document, "status", "current_phase"))
    for name, keys in ODD_KEYS.items():
        odd = {key: {key: [key]} for key in keys}
        document = full_document() | odd
        for place in ("git", "phase_history", "build_progress", "artifacts"):
            document[place] = document[place] | odd
        found.append(taken(name, document))
    remark = {"_example": {"sha": "x"}, "_note": "format"}
    return [
        *found,
        taken("only remarks", text_of(builders.v2(commits=[remark, {"_a": 1}], key_decisions=[remark]))),
        taken(
            "unknown words", builders.v2(status="on hold", current_phase="BUILD"), "status", "current_phase"
        ),
        taken("equal links", builders.v2(conversations=[{"client": "c", "native_id": "n"}] * 50)),
        taken("equal research", builders.v2(research_artifacts=[{"research_id": "r"}] * 50)),
        taken("equal commits", builders.v2(commits=[{"sha": "abc"}] * 50)),
    ]
