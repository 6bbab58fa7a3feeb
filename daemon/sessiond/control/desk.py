"""What every route works with: the daemon, threads for its database, and waits that end when it stops."""

import asyncio
from collections.abc import Callable
from concurrent.futures import CancelledError as WorkCancelledError
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from aiohttp import web
from sqlalchemy import Connection

from sessiond.control.answers import RequestError
from sessiond.control.backend import Backend, Freshness
from sessionlib.errors import StoppingError
from sessionlib.models.base import utc_now

T = TypeVar("T")

POLL = 0.02
"""Seconds between two looks at the freshness that a client waits for."""

DEFAULT_WAIT = 10.0
"""Seconds that a read waits to be as fresh as was asked for."""

WORK_MOST = 30.0
"""Seconds that the database has for one request."""

_LATE = "the database has not answered within {most:g} s"
_LATE_HINT = "ask again later, or for less; GET /status tells how the database is"


class Desk:
    """What the routes share. Used on the event loop only.

    Args:
        backend: The daemon.
        version: As clients see it.
        request_timeout: Seconds in which a request's body must come.
        streams: Event streams that may be open at once.
    """

    def __init__(self, backend: Backend, *, version: str, request_timeout: float, streams: int) -> None:
        self.backend = backend
        self.version = version
        self.request_timeout = request_timeout
        self.streams_most = streams
        self.streams = 0
        self.stopping = asyncio.Event()
        self.exporting = asyncio.Lock()
        self.headers = {
            "Server": f"sessiond/{version}",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
        self._workers = ThreadPoolExecutor(4, thread_name_prefix="control-work")

    def close(self) -> None:
        """Take no more work; what has begun goes on in its thread, for nobody."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def work(self, function: Callable[..., T], *arguments: Any, late: str = _LATE) -> T:
        """Run a function that may block on a worker thread.

        Args:
            function: It.
            arguments: Its.
            late: The sentence when it takes too long, with ``{most:g}`` for the seconds it may take.

        Raises:
            RequestError: It takes longer than a client should wait (504).
            StoppingError: The daemon stops meanwhile.
        """
        future = self._workers.submit(function, *arguments)
        try:
            return await self.ended(future, WORK_MOST, late.format(most=WORK_MOST))
        finally:
            # Nobody wants it any more, if it has not begun.
            future.cancel()

    async def read(self, ask: Callable[[Connection], T]) -> T:
        """Run a function in a reading transaction on a worker thread; raises as `work` and it do."""

        def inside() -> T:
            with self.backend.reading() as connection:
                return ask(connection)

        return await self.work(inside)

    async def ended(self, future: "Future[T]", timeout: float, late: str, hint: str = _LATE_HINT) -> T:  # noqa: ASYNC109 - the answer at its end is ours
        """Wait for a future of other threads and return its result; it goes on when the waiting ends.

        Raises:
            RequestError: It is not done in time (504, with the sentence `late`).
            StoppingError: The daemon stops meanwhile, or has cancelled it.
        """
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def wake(_: object) -> None:
            # The loop may have ended before what it waited for.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(done.set)

        future.add_done_callback(wake)
        waits = [loop.create_task(done.wait()), loop.create_task(self.stopping.wait())]
        try:
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not future.done():
            if self.stopping.is_set():
                raise StoppingError
            raise RequestError(504, late, hint=hint, kind="TimeoutError")
        try:
            return future.result()
        except WorkCancelledError:
            raise StoppingError from None

    async def freshness(self, max_age: float | None = None, wait: float = DEFAULT_WAIT) -> Freshness:
        """Return how fresh the mirror is; wait until it is at most `max_age` seconds old, if that is given.

        Raises:
            RequestError: It is not that fresh after `wait` seconds (504).
            StoppingError: The daemon stops meanwhile.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + wait
        # By the time of the request: what was written before it is in a mirror of age 0, and steady writing
        # after it does not starve whoever asked.
        wanted = utc_now() - timedelta(seconds=max_age or 0.0)
        while True:
            fresh = self.backend.freshness()
            if max_age is None:
                return fresh
            if fresh.as_of is not None and fresh.as_of >= wanted:
                return fresh
            if loop.time() >= ends:
                age = (
                    "of unknown age"
                    if fresh.as_of is None
                    else f"{(utc_now() - fresh.as_of).total_seconds():.1f} s old"
                )
                raise RequestError(
                    504,
                    f"the mirror is {age}, not at most {max_age:g} s, after {wait:g} s of waiting",
                    hint="; ".join(fresh.reasons) or "ask for less, or wait longer with wait=SECONDS",
                    kind="MirrorStaleError",
                )
            await asyncio.sleep(POLL)
            if self.stopping.is_set():
                raise StoppingError


@dataclass(slots=True, kw_only=True)
class Call:
    """One request on its way to its route.

    Attributes:
        desk: What the routes share.
        request: As aiohttp gives it.
        rest: What the path holds behind the route's prefix.
        known: False for a client that has not shown the token, which only a few routes answer.
        headers: Of the answer, whatever it is.
    """

    desk: Desk
    request: web.BaseRequest
    rest: str = ""
    known: bool = True
    headers: dict[str, str] = field(default_factory=dict)
