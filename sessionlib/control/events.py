"""The change feed as the client reads it: server-sent events, taken apart as they come."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sessionlib.errors import ControlError

RESYNC = "resync"
"""The kind of an event that says: changes were missed, look at everything anew."""

_LONGEST_LINE = 1024 * 1024
_LEAST_RETRY, _MOST_RETRY = 0.05, 30.0


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the change feed.

    Attributes:
        kind: created, changed, removed, restored, unreadable; or resync.
        data: The change; empty for a resync.
        id: What to resume after; None where there is no such point.
    """

    kind: str
    data: dict[str, Any] = field(default_factory=dict)
    id: str | None = None


class EventParser:
    """Turns the bytes of one stream into events.

    Attributes:
        last_id: The last id that the stream named, also one that stood for no event.
        retry: Seconds to wait before connecting again, as the stream wishes.
    """

    def __init__(self, last_id: str | None = None, retry: float = 2.0) -> None:
        self.last_id = last_id
        self.retry = retry
        self._kind = ""
        self._data: list[str] = []

    def events(self, parts: Iterable[bytes]) -> Iterator[Event]:
        """Yield the events of a stream until it ends.

        Raises:
            ControlError: It is no stream of changes.
        """
        left = b""
        for part in parts:
            *lines, left = (left + part).split(b"\n")
            if len(left) > _LONGEST_LINE:
                raise ControlError("sessiond sent an event that is too long to be one")
            for line in lines:
                event = self._line(line.removesuffix(b"\r").decode("utf-8", "replace"))
                if event is not None:
                    yield event

    def _line(self, line: str) -> Event | None:
        if not line:
            return self._event()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._kind = value
        elif name == "id" and "\0" not in value:
            self.last_id = value or None
        elif name == "retry" and value.isdecimal():
            self.retry = min(max(int(value[:9]) / 1000, _LEAST_RETRY), _MOST_RETRY)
        return None

    def _event(self) -> Event | None:
        kind, text = self._kind or "message", "\n".join(self._data)
        # An event without data is none, except ours that needs none.
        is_one = bool(self._data) or kind == RESYNC
        self._kind, self._data = "", []
        return Event(kind, _tree(text), self.last_id) if is_one else None


def _tree(text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ControlError("sessiond sent an event that is no JSON") from error
    return tree if isinstance(tree, dict) else {}
