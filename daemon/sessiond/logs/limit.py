"""Repeated faults: the first few of a kind are shown, the others counted."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple, TypeVar

from sessiond.logs.events import own_record
from sessiond.logs.picture import event_of, fields_of, message_of
from sessiond.logs.text import as_text
from sessionlib.redaction import Redactor

_Key = TypeVar("_Key", bound=Hashable)

MOST = 5
"""Records of one fault that a window shows."""

MOST_OF_EVENT = 100
"""Records of one event that a window shows, however many different faults it tells."""

WINDOW = 30.0
"""Seconds of a window, from its first record."""

_MOST_FAULTS = 4096

_MOST_EVENTS = 256

_SAMPLE = 200
"""Characters of a value that are kept to say which fault it was."""


@dataclass(slots=True)
class _Spell:
    """One window of a fault, or of all faults of one event."""

    event: str
    level: int
    began: float
    shown: int = 0
    hidden: int = 0
    sample: dict[str, str] = field(default_factory=dict)

    def report(self) -> "Report":
        """Return the record that says which records were left out."""
        fields = {"of": self.event} | {name: text for name, text in self.sample.items() if name != "of"}
        record = own_record(self.level, "log.suppressed", "more of the same were left out", fields)
        return Report(record, self.hidden)


class Report(NamedTuple):
    """A record about records that were left out, and how many."""

    record: logging.LogRecord
    suppressed: int


class Verdict(NamedTuple):
    """Whether to show a record, how many like it were left out before, and what to say first."""

    is_shown: bool
    suppressed: int = 0
    reports: tuple[Report, ...] = ()


class Limit:
    """Counts faults; safe to use from any thread.

    Records are the same fault when their events and all of their fields but numbers are equal (without such
    fields: their messages), and so are their exceptions. Memory is bounded: the oldest is reported and
    forgotten when there are too many.

    Args:
        redactor: Cleans what is kept to say which fault it was.
        clock: Seconds that only go forward.
        most: Records of one fault that a window shows.
        most_of_event: Records of one event that a window shows.
        window: Seconds of a window.
    """

    def __init__(
        self,
        redactor: Redactor,
        clock: Callable[[], float] = time.monotonic,
        *,
        most: int = MOST,
        most_of_event: int = MOST_OF_EVENT,
        window: float = WINDOW,
    ) -> None:
        self._redactor = redactor
        self._clock = clock
        self._most = most
        self._most_of_event = most_of_event
        self._window = window
        self._lock = Lock()
        # Both in the order in which their windows began.
        self._faults: OrderedDict[int, _Spell] = OrderedDict()
        self._events: OrderedDict[str, _Spell] = OrderedDict()

    def judge(self, record: logging.LogRecord) -> Verdict:
        """Count a record; records below warning are always shown."""
        if record.levelno < logging.WARNING:
            return Verdict(is_shown=True)
        event, told = event_of(record)[:_SAMPLE], _identity(record)
        key = hash((event, *told.items()))
        now = self._clock()
        with self._lock:
            fault = self._faults.get(key)
            if fault is not None and not self._is_open(fault, now):
                fault = None
            if fault is not None and fault.shown >= self._most:
                fault.hidden += 1
                return Verdict(is_shown=False)
            crowd, reports = self._crowd(event, record.levelno, now)
            if crowd.shown >= self._most_of_event:
                crowd.hidden += 1
                return Verdict(is_shown=False, reports=tuple(reports))
            crowd.shown += 1
            suppressed = 0
            if fault is None:
                fault = _Spell(event, record.levelno, now, sample=self._sample(told))
                suppressed, forgotten = _begin(self._faults, key, fault, _MOST_FAULTS)
                reports += forgotten
            fault.shown += 1
            return Verdict(is_shown=True, suppressed=suppressed, reports=tuple(reports))

    def due(self, *, everything: bool = False) -> list[Report]:
        """Return the reports of the windows that are over, or of all of them; each is given once."""
        now = self._clock()
        reports = []
        with self._lock:
            for spells in (self._faults, self._events):
                while spells and (everything or not self._is_open(next(iter(spells.values())), now)):
                    _, spell = spells.popitem(last=False)
                    if spell.hidden:
                        reports.append(spell.report())
        return reports

    def _is_open(self, spell: _Spell, now: float) -> bool:
        return now - spell.began < self._window

    def _crowd(self, event: str, level: int, now: float) -> tuple[_Spell, list[Report]]:
        """Return the event's window, begun anew if it is over, and what is to be told of the old one."""
        crowd = self._events.get(event)
        if crowd is not None and self._is_open(crowd, now):
            return crowd, []
        reports = [crowd.report()] if crowd is not None and crowd.hidden else []
        crowd = _Spell(event, level, now)
        _, forgotten = _begin(self._events, event, crowd, _MOST_EVENTS)
        return crowd, reports + forgotten

    def _sample(self, told: Mapping[str, str]) -> dict[str, str]:
        return {name: self._redactor.excerpt(text)[0][:_SAMPLE] for name, text in told.items()}


def _begin(
    spells: OrderedDict[_Key, _Spell], key: _Key, spell: _Spell, most: int
) -> tuple[int, list[Report]]:
    """Begin a window; return what its last one hid, and reports of those that had to make room."""
    former = spells.pop(key, None)
    forgotten = [spells.popitem(last=False)[1] for _ in range(len(spells) + 1 - most)]
    spells[key] = spell
    return former.hidden if former else 0, [old.report() for old in forgotten if old.hidden]


def _identity(record: logging.LogRecord) -> dict[str, str]:
    """Return what tells one fault from another."""
    told = {
        as_text(name): as_text(value)
        for name, value in fields_of(record).items()
        if value is not None and not isinstance(value, int | float)
    }
    if not told:
        told["message"] = message_of(record)
    if record.exc_info and record.exc_info[0] is not None:
        told["exception"] = f"{record.exc_info[0].__name__}: {as_text(record.exc_info[1])}"
    return told
