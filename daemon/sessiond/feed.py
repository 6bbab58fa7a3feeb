"""The change feed: every change of a session once, in order, for whoever listens.

Listeners come and go; the last changes are kept, so that one who was away for a moment misses none. One who
was away for longer is told to look at everything anew.
"""

import json
import logging
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from threading import Lock
from typing import Any, Self
from uuid import UUID

_LOG = logging.getLogger("sessiond.feed")

_LONGEST_NUMBER = 18
"""Digits; Python refuses to read a number of thousands of them."""

KEPT = 2_000
"""Changes kept for listeners that come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a session, as its row shows it after the commit.

    Attributes:
        kind: created, changed, removed, restored (its files are there, or can be used, again), or unreadable
            (its file cannot be used; `error` says why).
        at: When it was committed, ISO 8601 in UTC.
        project: The project's name.
        project_id: Its id.
        session_id: The session's id.
        root: Its sessions folder, relative to the workspace.
        slug: Its folder's name.
        seq: The number of the content's version, from 1; 0 while its file could never be used. A change that
            brings no new version (a plan, another copy that is shown) repeats the last one's number.
        phase: The phase it is in, as its file says it.
        status: Its effective status.
        error: Why its file cannot be used, if so.
        host_id: The host whose daemon saw it.
    """

    kind: str
    at: str
    project: str | None
    project_id: str
    session_id: str
    root: str
    slug: str
    seq: int
    phase: str | None
    status: str | None
    error: str | None = None
    host_id: str

    def to_json(self) -> dict[str, Any]:
        """Return the change as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, tree: object) -> Self:
        """Read what `to_json` wrote, perhaps in another version; unknown keys are ignored.

        Raises:
            ValueError: It is no such object, a key is not there, or a value is not of its kind.
        """
        if not isinstance(tree, Mapping):
            raise ValueError("a change is a JSON object")  # noqa: TRY004 - for the reader it is all one
        try:
            change = cls(**{field.name: tree[field.name] for field in fields(cls) if field.name in tree})
            UUID(change.project_id), UUID(change.session_id), UUID(change.host_id)
        except (TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"this is not a change: {error}") from error
        texts = (change.kind, change.at, change.root, change.slug)
        maybe = (change.project, change.phase, change.status, change.error)
        if not (
            all(isinstance(text, str) for text in texts)
            and all(text is None or isinstance(text, str) for text in maybe)
            and type(change.seq) is int
        ):
            raise ValueError("this is not a change: a value is of another kind")
        return change


@dataclass(frozen=True, slots=True)
class Entry:
    """A change with the id under which it was published: the daemon's life, and a number counting from 1."""

    entry_id: str
    change: Change

    def data(self) -> str:
        """Return the change as one line of JSON."""
        return json.dumps(self.change.to_json(), ensure_ascii=True)


Listener = Callable[[Entry], None]


class Feed:
    """The feed; safe to use from any thread. Listeners are called from the publisher's thread.

    Args:
        kept: How many changes to keep for listeners that come back.
    """

    def __init__(self, *, kept: int = KEPT) -> None:
        self._life = secrets.token_hex(4)
        self._count = 0
        self._kept: deque[Entry] = deque(maxlen=kept)
        self._listeners: dict[int, Listener] = {}
        self._tokens = 0
        # Publishing and subscribing exclude each other: a newcomer neither misses nor doubles a change.
        self._lock = Lock()

    @property
    def published(self) -> int:
        """Changes published so far."""
        return self._count

    @property
    def listeners(self) -> int:
        """Listeners now."""
        return len(self._listeners)

    @property
    def last_id(self) -> str:
        """The id of the last change; a listener that resumes from it gets everything since."""
        return f"{self._life}-{self._count}"

    def publish(self, changes: Iterable[Change]) -> None:
        """Number the changes and hand them to every listener, which must only queue.

        A listener that raises is logged and keeps nobody else from hearing.
        """
        with self._lock:
            for change in changes:
                self._count += 1
                entry = Entry(self.last_id, change)
                self._kept.append(entry)
                for listener in self._listeners.values():
                    self._hand(listener, entry)

    def subscribe(
        self, listener: Listener, *, after: str | None = None
    ) -> tuple[list[Entry] | None, Callable[[], None]]:
        """Add a listener; return what it missed since `after`, and the function that removes it.

        What it missed is None when that is no longer known: it must look at everything anew. The listener is
        called with the feed's lock held and must return at once without calling the feed.
        """
        with self._lock:
            missed = [] if after is None else self._since(after)
            self._tokens += 1
            token = self._tokens
            self._listeners[token] = listener

        def unsubscribe() -> None:
            with self._lock:
                self._listeners.pop(token, None)

        return missed, unsubscribe

    def _hand(self, listener: Listener, entry: Entry) -> None:
        try:
            listener(entry)
        except Exception:  # noqa: BLE001 - logged with its traceback
            _LOG.exception("a listener to the feed failed", extra={"event": "feed.listener_failed"})

    def _since(self, after: str) -> list[Entry] | None:
        life, _, number = after.partition("-")
        if life != self._life or not number.isdecimal() or len(number) > _LONGEST_NUMBER:
            return None
        missing = self._count - int(number)
        if not 0 <= missing <= len(self._kept):
            return None
        return list(self._kept)[len(self._kept) - missing :]
