"""A record taken apart: what a line shows of it, as clean text, before it is cut and escaped."""

import itertools
import logging
import math
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sessiond.logs.text import as_text
from sessionlib.redaction import MASK, Redactor, is_sensitive

_MOST_FIELDS = 64

_LONGEST_KEY = 64

_RESERVED = frozenset({"ts", "level", "event", "msg", "suppressed", "stack", "traceback", "truncated"})
"""Keys that the log itself writes; a field of such a name gets an underscore."""

_ODD_IN_KEY = re.compile(r"[^A-Za-z0-9_.-]")

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"asctime", "event", "fields", "message", "taskName"}
"""Attributes of a record that are no fields."""

_WIDEST_NUMBER = 2**63

Value = str | int | float | bool


@dataclass(slots=True)
class Picture:
    """What a line shows of a record. `stack` and `traceback` keep their ends when they are cut."""

    created: float
    level: str
    event: str
    message: str
    fields: dict[str, Value]
    stack: str
    traceback: str
    is_cut: bool

    def texts(self) -> list[str]:
        """Return every text that a secret may be in."""
        values = [value for value in self.fields.values() if isinstance(value, str)]
        return [self.event, self.message, self.stack, self.traceback, *self.fields, *values]


def fields_of(record: logging.LogRecord) -> Mapping[str, Any]:
    """Return a record's fields: those `event` gave it, and any other extra attributes."""
    attributes = vars(record)
    given = attributes.get("fields")
    fields = given if isinstance(given, Mapping) else {} if given is None else {"fields": given}
    if attributes.keys() <= _USUAL:
        return fields
    return {key: attributes[key] for key in attributes if key not in _USUAL} | dict(fields)


def event_of(record: logging.LogRecord) -> str:
    """Return a record's event; the logger's name where nobody named one."""
    return as_text(getattr(record, "event", record.name))


def message_of(record: logging.LogRecord) -> str:
    """Return a record's message; template and arguments side by side where they do not fit together."""
    if not record.args:
        return as_text(record.msg)
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a wrong template, or whatever a foreign __str__ raises
        return f"{as_text(record.msg)} {as_text(record.args)}"


class Painter:
    """Makes pictures of records; safe to use from any thread."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def picture(self, record: logging.LogRecord, suppressed: int) -> Picture:
        """Take a record apart; `suppressed` records like it were left out before it."""
        given = fields_of(record)
        picture = Picture(
            created=record.created,
            level=record.levelname.lower(),
            event=event_of(record),
            message=message_of(record),
            fields=_values(given),
            stack=as_text(record.stack_info or ""),
            traceback=_traceback_of(record),
            is_cut=len(given) > _MOST_FIELDS,
        )
        # One look over everything is enough for most records.
        if not self._redactor.is_harmless("\n".join(picture.texts())):
            self._clean(picture)
        if suppressed:
            picture.fields["suppressed"] = suppressed
        return picture

    def _clean(self, picture: Picture) -> None:
        def clean(text: str, *, keep_end: bool = False) -> str:
            excerpt, is_cut = self._redactor.excerpt(text, keep_end=keep_end)
            picture.is_cut = picture.is_cut or is_cut
            return excerpt

        picture.event = clean(picture.event)
        picture.message = clean(picture.message)
        picture.stack = clean(picture.stack, keep_end=True)
        picture.traceback = clean(picture.traceback, keep_end=True)
        fields: dict[str, Value] = {}
        for key, value in picture.fields.items():
            free = _free(_ODD_IN_KEY.sub("_", clean(key)), fields)
            fields[free] = clean(value) if isinstance(value, str) else value
        picture.fields = fields


def _values(given: Mapping[str, object]) -> dict[str, Value]:
    """Return fields under keys that neither the log itself nor an earlier field uses."""
    fields: dict[str, Value] = {}
    for name, value in itertools.islice(given.items(), _MOST_FIELDS):
        if value is None:
            continue
        key, is_secret = _key(name if type(name) is str else as_text(name))
        key = _free(key, fields)
        fields[key] = MASK if is_secret and type(value) is not bool else _value(value)
    return fields


def _free(key: str, taken: Mapping[str, Value]) -> str:
    while key in _RESERVED or key in taken:
        key += "_"
    return key


@lru_cache(maxsize=512)
def _key(name: str) -> tuple[str, bool]:
    """Return a field's name as a key that needs no quotes, and whether it says that the field is secret."""
    return _ODD_IN_KEY.sub("_", name[:_LONGEST_KEY]) or "_", is_sensitive(name[:_LONGEST_KEY])


def _value(value: object) -> Value:
    """Return a value as it is if it is a number that every reader can hold, else as text."""
    if type(value) is str or type(value) is bool:
        return value
    if type(value) is int and abs(value) < _WIDEST_NUMBER:
        return value
    if type(value) is float and math.isfinite(value):
        return value
    return as_text(value)


def _traceback_of(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    try:
        return "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
    except Exception as error:  # noqa: BLE001 - whatever a foreign exception raises when it is shown
        return f"{record.exc_info[0].__name__}: its traceback raised {type(error).__name__}"
