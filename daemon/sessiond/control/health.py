"""GET /status, /healthz, /freshness, /metrics: how the daemon is, without asking the database."""

from aiohttp import web

from sessiond.control import asking
from sessiond.control.answers import encode, iso, json_answer
from sessiond.control.desk import DEFAULT_WAIT, Call

LONGEST_WAIT = 600.0
_OLDEST = 86_400.0

AGE_KINDS: dict[str, asking.Kind] = {
    "max_age": asking.a_number(0, _OLDEST),
    "wait": asking.a_number(0, LONGEST_WAIT),
}
"""How fresh the mirror must be, in seconds, and how long to wait for that; every reading route takes them."""


async def status(call: Call) -> web.StreamResponse:
    """Answer with the whole snapshot."""
    asking.parameters(call.request, {})
    return json_answer(encode(call.desk.backend.status()))


async def healthz(call: Call) -> web.StreamResponse:
    """Answer 200, or 503 when the mirror is stale; the reasons are for clients that are known only."""
    asking.parameters(call.request, {})
    fresh = call.desk.backend.freshness()
    said: dict[str, object] = {"ok": not fresh.stale}
    if call.known:
        said |= {"as_of": iso(fresh.as_of), "stale": fresh.stale, "reasons": fresh.reasons}
    return json_answer(encode(said), status=503 if fresh.stale else 200)


async def freshness(call: Call) -> web.StreamResponse:
    """Answer how fresh the mirror is, once it is as fresh as was asked for."""
    given = asking.parameters(call.request, AGE_KINDS)
    fresh = await call.desk.freshness(given.get("max_age"), given.get("wait", DEFAULT_WAIT))
    said = {
        "as_of": iso(fresh.as_of),
        "stale": fresh.stale,
        "reasons": fresh.reasons,
        "database": call.desk.backend.database_name,
    }
    return json_answer(encode(said))


async def metrics(call: Call) -> web.StreamResponse:
    """Answer with the snapshot as Prometheus reads it."""
    asking.parameters(call.request, {})
    snapshot = call.desk.backend.status()
    # On a worker: the first call imports the library, which takes longer than an answer may be kept waiting.
    body, content_type = await call.desk.work(_rendered, snapshot)
    return web.Response(body=body, headers={"Content-Type": content_type})


def _rendered(snapshot: object) -> tuple[bytes, str]:
    from sessiond.control import metrics as rendering  # noqa: PLC0415 - most daemons are never scraped

    return rendering.render(snapshot)  # type: ignore[arg-type]
