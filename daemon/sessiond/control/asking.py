"""What a client asks: the parameters of a URL and the keys of a JSON body, checked and in Python's types."""

import asyncio
import json
import os
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from sessiond.control.answers import RequestError
from sessionlib import moments
from sessionlib.db.crud.changes import nearest
from sessionlib.models import utc_now

BODY_MOST = 64 * 1024
"""Bytes of a request's body, where a route does not say otherwise."""

IDENTITY = "identity"
"""The encoding of a body that is sent as it is."""

_SMALLER = "send only the keys that the route takes"

MOST = 2**31 - 1
"""The greatest whole number: what both databases hold in an integer."""

Kind = Callable[[Any], Any]
"""Takes a value, a text from a URL or whatever JSON holds; raises ValueError with what it must be."""

_YES = frozenset({"true", "1", "yes"})
_NO = frozenset({"false", "0", "no"})


def a_text(value: Any) -> str:
    """Take a text without NUL or half a character, which no database holds."""
    if not isinstance(value, str) or "\x00" in value:
        raise ValueError("a text without NUL")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("a text of whole characters") from None
    return value


def a_path(value: Any) -> str:
    r"""Take a text that can name a file; a byte that is no UTF-8 is written ``\udcXX``."""
    if not isinstance(value, str) or "\x00" in value:
        raise ValueError("a path without NUL")
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        raise ValueError("a path of whole characters") from None
    return value


def a_flag(value: Any) -> bool:
    """Take true or false."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _YES | _NO:
        return value.lower() in _YES
    raise ValueError("true or false")


def a_moment(value: Any) -> datetime:
    """Take a moment: a day, an ISO moment, or how long ago; in UTC."""
    return moments.moment(a_text(value), utc_now())


def a_day(value: Any) -> str:
    """Take a day in UTC, in any way in which a moment is given."""
    return moments.day(a_text(value), utc_now())


def a_whole(least: int, most: int = MOST) -> Kind:
    """Return the kind that takes a whole number from `least` to `most`."""

    def take(value: Any) -> int:
        try:
            number = int(value) if isinstance(value, str) and value.isascii() else None
        except ValueError:
            number = None
        if number is None or not least <= number <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return number

    return take


def a_number(least: float, most: float) -> Kind:
    """Return the kind that takes a number from `least` to `most`, fractions included."""

    def take(value: Any) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        try:
            number = float(value) if is_number or isinstance(value, str) else float("nan")
        except (ValueError, OverflowError):
            number = float("nan")
        if not least <= number <= most:
            raise ValueError(f"a number from {least:g} to {most:g}")
        return number

    return take


def parameters(request: web.BaseRequest, kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """Return the parameters that were given; one that is empty was not given.

    Raises:
        RequestError: One is unknown, repeated, or of another kind.
    """
    given = request.query
    for name in given:
        _known(name, kinds, "parameter")
        if len(given.getall(name)) > 1:
            raise _twice(name)
    return {name: taken(name, value, kinds[name]) for name, value in given.items() if value}


async def body(request: web.BaseRequest, kinds: Mapping[str, Kind], timeout: float) -> dict[str, Any]:  # noqa: ASYNC109 - the answer at its end is ours
    """Return the keys of a request's JSON object; without a body there are none. Null is not given.

    Raises:
        RequestError: It does not come in time, is too large, is no JSON object, or has an unknown key or one
            of another kind.
    """
    content = await received(request, timeout)
    tree = _object(content) if content.strip() else {}
    for name in tree:
        _known(name, kinds, "key")
    return {name: taken(name, value, kinds[name]) for name, value in tree.items() if value is not None}


def encoding_of(request: web.BaseRequest) -> str:
    """Return how a request says that its body is packed."""
    return request.headers.get("Content-Encoding", IDENTITY).strip().lower()


async def received(
    request: web.BaseRequest,
    timeout: float,  # noqa: ASYNC109 - see above
    *,
    most: int = BODY_MOST,
    smaller: str = _SMALLER,
    encodings: Collection[str] = (IDENTITY,),
) -> bytes:
    """Return a request's body as it came.

    Args:
        request: It.
        timeout: Seconds in which it must come.
        most: Bytes that it may have.
        smaller: How to send less.
        encodings: How it may be packed.

    Raises:
        RequestError: It does not come in time, is too large, cut off, or packed otherwise.
    """
    if (request.content_length or 0) > most:
        raise too_large(most, smaller)
    if encoding_of(request) not in encodings:
        packed = [encoding for encoding in encodings if encoding != IDENTITY]
        raise RequestError(
            415,
            "a body that is compressed so is not understood"
            if packed
            else "a compressed body is not understood",
            hint=f"send it as it is, {f'or as {packed[0]}' if packed else 'without Content-Encoding'}",
            close=True,
        )
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    try:
        async with asyncio.timeout(timeout):
            return await request.clone(client_max_size=most).read()
    except TimeoutError:
        raise RequestError(
            408,
            f"the body did not come within {timeout:g} s",
            hint="send as many bytes as Content-Length says, at once; or raise control.request_timeout",
            close=True,
        ) from None
    except web.HTTPRequestEntityTooLarge:
        raise too_large(most, smaller) from None
    except web.RequestPayloadError:
        raise RequestError(
            400,
            "the body is cut off or malformed",
            hint="send as many bytes as Content-Length says, or whole chunks",
            close=True,
        ) from None


def too_large(most: int, smaller: str) -> RequestError:
    """Return the answer to a body of more than so many bytes."""
    return RequestError(413, f"the body has more than {most} bytes", hint=smaller, close=True)


def _twice(name: str) -> RequestError:
    return RequestError(400, f"{name[:100]} is given more than once", hint="give it once")


def _object(content: bytes) -> dict[str, Any]:
    try:
        tree = json.loads(content.decode(), parse_constant=_no_number, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        tree = None
    if not isinstance(tree, dict):
        raise RequestError(
            400, "the body is no JSON object", hint='send an object, such as {"path": "/code"}'
        )
    return tree


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object; of two values for one key none can be the right one."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        if name in tree:
            raise _twice(name)
        tree[name] = value
    return tree


def _no_number(word: str) -> None:
    raise ValueError(word)


def _known(name: str, names: Collection[str], what: str) -> None:
    if name in names:
        return
    close = nearest(name, list(names))
    some = f"this takes {', '.join(names)}" if names else "this takes none"
    hint = f"did you mean: {', '.join(close)}?" if close else some
    raise RequestError(400, f"there is no {what} {name[:100]!r} here", hint=hint)


def taken(name: str, value: Any, kind: Kind) -> Any:
    """Return a value in Python's type.

    Raises:
        RequestError: It is of another kind.
    """
    try:
        return kind(value)
    except ValueError as error:
        shown = json.dumps(value)
        shown = shown if len(shown) <= 100 else f"{shown[:100]}…"  # noqa: PLR2004 - enough to know it again
        raise RequestError(
            400, f"{name} must be {error}, not {shown}", hint=f"send another {name}, or leave it out"
        ) from None
