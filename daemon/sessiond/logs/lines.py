"""A picture as one line of bytes: logfmt or JSON, in 8 KiB."""

import logging
import re
import time
from collections.abc import Iterable, Iterator
from typing import Literal

from sessiond.logs.picture import Painter, Picture, Value
from sessionlib.escaping import escaped
from sessionlib.redaction import Redactor

Style = Literal["logfmt", "json"]

MOST_BYTES = 8 * 1024 - len("<7>")
"""Of a line with its end; the priority that journald takes off is beside it."""

_CUTS = ((2000, 4000), (600, 2500), (150, 1200), (40, 300))
"""Characters of a value and of a traceback, tried in turn until the line fits."""

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,\[\]-]+")
"""What stands without quotes in logfmt. No "=", so that no value looks like a field."""

_LONGEST_EVENT = 100


class LineFormat:
    """Writes records as lines of one style; safe to use from any thread."""

    def __init__(self, style: Style, redactor: Redactor) -> None:
        self._style = style
        self._painter = Painter(redactor)
        self._second = (0, "")

    def line(self, record: logging.LogRecord, suppressed: int = 0) -> bytes:
        """Return a record as one line with its end, in UTF-8.

        It begins with ts (UTC, milliseconds), level, event and msg. Whatever does not fit is cut, the longest
        first, and the line says ``truncated=true``.
        """
        picture = self._painter.picture(record, suppressed)
        stamp = self._stamp(picture.created)
        for most, most_of_trace in _CUTS:
            line = self._joined(_pairs(picture, stamp, most, most_of_trace))
            if len(line) <= MOST_BYTES:
                return line
        return self._joined(self._that_fit(_pairs(picture, stamp, *_CUTS[-1])))

    def _joined(self, pairs: Iterable[tuple[str, Value]]) -> bytes:
        if self._style == "json":
            text = "{" + ",".join([f'"{key}":{_json(value)}' for key, value in pairs]) + "}\n"
        else:
            text = " ".join([f"{key}={_logfmt(value)}" for key, value in pairs]) + "\n"
        return text.encode()

    def _that_fit(self, pairs: Iterable[tuple[str, Value]]) -> Iterator[tuple[str, Value]]:
        """Yield the first pairs whose line has room for the word that some are missing."""
        room = MOST_BYTES - len(b'{,"truncated":true}\n')
        for key, value in pairs:
            room -= len(self._joined([(key, value)])) + 1
            if room < 0:
                break
            if key != "truncated":
                yield key, value
        yield "truncated", True

    def _stamp(self, created: float) -> str:
        second = int(created)
        known, text = self._second
        if known != second:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = (second, text)
        return f"{text}.{int((created - second) * 1000):03d}Z"


def _pairs(picture: Picture, stamp: str, most: int, most_of_trace: int) -> Iterator[tuple[str, Value]]:
    """Yield what the line shows, cut to so many characters a value."""
    is_cut = picture.is_cut or len(picture.message) > most or len(picture.event) > _LONGEST_EVENT
    yield "ts", stamp
    yield "level", picture.level
    yield "event", picture.event[:_LONGEST_EVENT]
    yield "msg", picture.message[:most]
    for key, value in picture.fields.items():
        if isinstance(value, str) and len(value) > most:
            is_cut = True
            yield key, value[:most]
        else:
            yield key, value
    for key, trace in (("stack", picture.stack), ("traceback", picture.traceback)):
        if trace:
            is_cut = is_cut or len(trace) > most_of_trace
            yield key, trace[-most_of_trace:]
    if is_cut:
        yield "truncated", True


def _logfmt(value: Value) -> str:
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) else _in_quotes(value)
    return _number(value)


def _json(value: Value) -> str:
    return _in_quotes(value) if isinstance(value, str) else _number(value)


def _number(value: float) -> str:
    """Return a finite number, or a truth, as JSON writes it."""
    return repr(value).lower()


def _in_quotes(text: str) -> str:
    return f'"{escaped(text)}"'
