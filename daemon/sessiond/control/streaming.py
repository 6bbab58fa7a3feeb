"""GET /events: the change feed as server-sent events."""

import asyncio
from collections import deque
from contextlib import suppress
from threading import Lock

from aiohttp import web

from sessiond.control import asking
from sessiond.control.answers import RequestError, encode
from sessiond.control.desk import Call
from sessiond.feed import Entry

QUEUE_MOST = 1000
"""Changes that wait for one listener; with more it must look at everything anew."""

PING_EVERY = 15.0
"""Seconds between two signs of life on a silent stream."""

STALLED = 60.0
"""Seconds that a listener may read nothing before its stream is ended."""

_RETRY_MS = 2000
_ID_MOST = 100


class Inbox:
    """What waits for one listener. `hear` is called from any thread, the rest on the event loop.

    Args:
        loop: The event loop.
        most: How many changes to keep.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self._loop = loop
        self._most = most
        self._waiting: deque[Entry] = deque()
        self._lost: str | None = None
        self._lock = Lock()
        self.filled = asyncio.Event()

    def hear(self, entry: Entry) -> None:
        """Keep a change for the listener; called with the feed's lock held."""
        with self._lock:
            idle = not self._waiting and self._lost is None
            if self._lost is not None or len(self._waiting) >= self._most:
                self._waiting.clear()
                self._lost = entry.entry_id
            else:
                self._waiting.append(entry)
        # One wake-up for many changes; the loop may have ended meanwhile.
        if idle:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.filled.set)

    def take(self) -> tuple[str | None, list[Entry]]:
        """Return the id of the last change that was lost, if any were, and those that wait."""
        self.filled.clear()
        with self._lock:
            lost, self._lost = self._lost, None
            waiting = list(self._waiting)
            self._waiting.clear()
        return lost, waiting


async def events(call: Call) -> web.StreamResponse:
    """Send every change once, until the client goes away or the daemon stops."""
    given = asking.parameters(call.request, {"after": asking.a_text})
    after = call.request.headers.get("Last-Event-ID") or given.get("after")
    desk = call.desk
    if desk.streams >= desk.streams_most:
        raise RequestError(
            503,
            f"{desk.streams_most} event streams are open, and there may be no more",
            hint="close one, or raise control.clients",
            kind="ControlRefusedError",
            headers={"Retry-After": "5"},
        )
    desk.streams += 1
    try:
        return await _stream(call, after)
    finally:
        desk.streams -= 1


async def _stream(call: Call, after: str | None) -> web.StreamResponse:
    stream = web.StreamResponse(
        headers={
            **call.desk.headers,
            **call.headers,
            "Content-Type": "text/event-stream; charset=utf-8",
            "X-Accel-Buffering": "no",
        }
    )
    await stream.prepare(call.request)
    feed = call.desk.backend.feed
    inbox = Inbox(asyncio.get_running_loop(), QUEUE_MOST)
    here = feed.last_id
    missed, unsubscribe = feed.subscribe(inbox.hear, after=None if after is None else after[:_ID_MOST])
    try:
        await _write(stream, f": sessiond {call.desk.version}\nretry: {_RETRY_MS}\n\n")
        if missed is None:
            await _write(stream, _resync(here, "the changes since then are no longer known"))
        elif missed:
            await _write(stream, _events(missed))
        else:
            # No event, but from now on a client that comes back says where it was.
            await _write(stream, f"id: {here if after is None else after[:_ID_MOST]}\n\n")
        await _follow(call, stream, inbox)
    finally:
        unsubscribe()
    return stream


async def _follow(call: Call, stream: web.StreamResponse, inbox: Inbox) -> None:
    loop = asyncio.get_running_loop()
    stopping = loop.create_task(call.desk.stopping.wait())
    filled = loop.create_task(inbox.filled.wait())
    try:
        while True:
            await asyncio.wait({stopping, filled}, timeout=PING_EVERY, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                await _write(stream, ": the daemon is stopping\n\n")
                return
            if not filled.done():
                await _write(stream, ":\n\n")
                continue
            lost, waiting = inbox.take()
            filled = loop.create_task(inbox.filled.wait())
            if lost is not None:
                await _write(stream, _resync(lost, "changes came faster than they were read"))
            if waiting:
                await _write(stream, _events(waiting))
    finally:
        stopping.cancel()
        filled.cancel()


def _events(entries: list[Entry]) -> str:
    return "".join(
        f"id: {entry.entry_id}\nevent: {entry.change.kind}\ndata: {entry.data()}\n\n" for entry in entries
    )


def _resync(entry_id: str, reason: str) -> str:
    return f"id: {entry_id}\nevent: resync\ndata: {encode({'reason': reason}).decode()}\n\n"


async def _write(stream: web.StreamResponse, text: str) -> None:
    try:
        async with asyncio.timeout(STALLED):
            await stream.write(text.encode())
    except TimeoutError:
        raise ConnectionResetError("the listener reads nothing") from None
