"""Which request goes where."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from aiohttp import web

from sessiond.control import acting, health, streaming
from sessiond.control.answers import RequestError
from sessiond.control.desk import Call
from sessionlib.db.crud.changes import nearest

Handler = Callable[[Call], Awaitable[web.StreamResponse]]


def _reading(name: str) -> Handler:
    """Return a handler of `reading`, which is imported when it is first needed, with all the questions.

    To follow files none of them is needed, so the start does not wait for them.
    """

    async def handler(call: Call) -> web.StreamResponse:
        from sessiond.control import reading  # noqa: PLC0415

        chosen: Handler = getattr(reading, name)
        return await chosen(call)

    return handler


def _work(name: str) -> Handler:
    """Return a handler of `reading.work`, as `_reading` does."""

    async def handler(call: Call) -> web.StreamResponse:
        from sessiond.control import reading  # noqa: PLC0415

        return await reading.work(call, name)

    return handler


def _telemetry(name: str) -> Handler:
    """Return a handler of `telemetry`, as `_reading` does."""

    async def handler(call: Call) -> web.StreamResponse:
        from sessiond.control import telemetry  # noqa: PLC0415

        chosen: Handler = getattr(telemetry, name)
        return await chosen(call)

    return handler


class Route(NamedTuple):
    """One path and what answers its methods.

    Attributes:
        path: Without what may follow a prefix.
        methods: What answers, by method.
        rest: What follows a prefix, behind a slash; empty for a whole path.
        is_open: True when clients without the token get an answer too.
        is_stream: True when the answer has no end, so that its head alone cannot be asked for.
    """

    path: str
    methods: dict[str, Handler]
    rest: str = ""
    is_open: bool = False
    is_stream: bool = False

    @property
    def name(self) -> str:
        """How the route is written in messages and logs."""
        return f"{self.path}/{self.rest}" if self.rest else self.path

    @property
    def allowed(self) -> str:
        """Its methods, for the header of this name."""
        heads = ["HEAD"] if "GET" in self.methods and not self.is_stream else []
        return ", ".join([*self.methods, *heads])


ROUTES = (
    Route("/status", {"GET": health.status}),
    Route("/healthz", {"GET": health.healthz}, is_open=True),
    Route("/freshness", {"GET": health.freshness}),
    Route("/metrics", {"GET": health.metrics}),
    Route("/events", {"GET": streaming.events}, is_stream=True),
    Route("/rescan", {"POST": acting.rescan}),
    Route("/projects", {"GET": _reading("projects"), "POST": acting.add_project}),
    Route("/reload", {"POST": acting.reload}),
    Route("/canary", {"POST": acting.canary}),
    Route("/sessions", {"GET": _reading("sessions")}),
    Route("/sessions", {"GET": _reading("session")}, rest="SESSION"),
    Route("/conversations", {"GET": _work("conversations")}),
    Route("/agents", {"GET": _work("agents")}),
    Route("/costs", {"GET": _work("costs")}),
    Route("/tools", {"GET": _work("tools")}),
    Route("/logs", {"GET": _work("logs")}),
    Route("/timeline", {"GET": _work("timeline")}),
    Route("/todos", {"GET": _work("todos")}),
    Route("/queries", {"GET": _reading("catalogue")}),
    Route("/queries", {"GET": _reading("query")}, rest="NAME"),
    Route("/v1/logs", {"POST": _telemetry("logs")}),
    Route("/v1/metrics", {"POST": _telemetry("nothing_of")}),
    Route("/v1/traces", {"POST": _telemetry("nothing_of")}),
)

_EXACT = {route.path: route for route in ROUTES if not route.rest}
_PREFIXES = {f"{route.path}/": route for route in ROUTES if route.rest}
_NAMES = [route.name for route in ROUTES]


def find(path: str) -> tuple[Route, str]:
    """Return the route of a path, and what follows its prefix.

    Raises:
        RequestError: There is none (404); the nearest is its hint.
    """
    plain = path.rstrip("/")
    if plain in _EXACT:
        return _EXACT[plain], ""
    for prefix, route in _PREFIXES.items():
        if path.startswith(prefix):
            return route, path.removeprefix(prefix)
    first = plain.strip("/").partition("/")[0]
    close = nearest(first, [name.removeprefix("/") for name in _EXACT])
    hint = f"did you mean: /{', /'.join(close)}?" if close else f"there are {', '.join(_NAMES)}"
    raise RequestError(404, f"there is nothing at {path[:200]!r}", hint=hint)


def is_open(path: str) -> bool:
    """Tell whether clients without the token get an answer at a path."""
    route = _EXACT.get(path.rstrip("/"))
    return route is not None and route.is_open


def handler_of(route: Route, method: str) -> Handler:
    """Return what answers a method.

    Raises:
        RequestError: Nothing does (405).
    """
    wanted = "GET" if method == "HEAD" and not route.is_stream else method
    handler = route.methods.get(wanted)
    if handler is None:
        raise RequestError(
            405,
            f"{route.name} takes {route.allowed}, not {method[:20]}",
            hint=f"send {' or '.join(route.methods)}",
            headers={"Allow": route.allowed},
        )
    return handler
