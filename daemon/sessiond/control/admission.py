"""Who is let in over TCP: this machine's own names, the token, and the web origins that are configured.

A browser can be made to send requests to a loopback port by any page it shows. The Host header stops names
that were rebound to loopback, the Origin header names the page, and the token is what no page can guess. On
the Unix socket the kernel has told who connects, and none of this is asked.
"""

import hmac
import logging
import time
from collections.abc import Sequence

from aiohttp import web

from sessiond.control.answers import RequestError
from sessiond.logs import event

_LOG = logging.getLogger("sessiond.control")

_METHODS = "GET, HEAD, POST"
_ALLOWED_HEADERS = "Authorization, Content-Type, Last-Event-ID"
_HTTP_PORT = 80
_PREFLIGHT_SECONDS = "600"

WRONG_MOST = 10
"""Wrong tokens in a row that are answered as such."""

WRONG_EVERY = 1.0
"""Seconds after which one more is."""


class Admission:
    """The rules of the loopback listener.

    Args:
        token: What clients must show.
        origins: Web origins whose pages may ask, such as ``http://localhost:3000``.
        port: The listener's.
    """

    def __init__(self, token: str, origins: Sequence[str], port: int) -> None:
        self._token = token.encode()
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)
        self._wrong = _Wrong()
        names = ("localhost", "127.0.0.1", "[::1]")
        self._hosts = {f"{name}:{port}" for name in names} | (set(names) if port == _HTTP_PORT else set())

    def headers(self, request: web.BaseRequest) -> dict[str, str]:
        """Return what every answer must say about origins."""
        if not self._origins:
            return {}
        said = {"Vary": "Origin"}
        origin = request.headers.get("Origin")
        if origin is not None and self._is_allowed(origin):
            said |= {
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Expose-Headers": "Retry-After, Server",
            }
        return said

    def check_page(self, request: web.BaseRequest) -> None:
        """Refuse requests to another name than this machine's own, and those of pages that may not ask.

        Raises:
            RequestError: 403.
        """
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or hosts[0].strip().lower() not in self._hosts:
            raise _refused("this port answers to localhost, 127.0.0.1 and [::1] only", "ask for one of these")
        origins = request.headers.getall("Origin", [])
        if not all(self._is_allowed(origin) for origin in origins):
            raise _refused("pages of this origin may not ask", "name it in control.origins")

    def is_preflight(self, request: web.BaseRequest) -> bool:
        """Tell whether a browser asks if a page may ask."""
        named = {"Origin", "Access-Control-Request-Method"}
        return request.method == "OPTIONS" and all(name in request.headers for name in named)

    @staticmethod
    def preflight() -> web.Response:
        """Return the answer to that, for an origin that may."""
        said = {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
            "Access-Control-Max-Age": _PREFLIGHT_SECONDS,
        }
        return web.Response(status=204, headers=said)

    def is_known(self, request: web.BaseRequest) -> bool:
        """Tell whether a client has shown the token; False when it has shown none.

        Raises:
            RequestError: 401, it has shown another; 429 when that happens too often. The right token is taken
                at all times: whoever guesses must not lock the owner out.
        """
        shown = request.headers.getall("Authorization", [])
        if not shown:
            return False
        scheme, _, token = shown[0].strip().partition(" ")
        # Both as bytes: compare_digest refuses texts that are not ASCII.
        right = hmac.compare_digest(token.strip().encode(errors="surrogateescape"), self._token)
        if len(shown) != 1 or scheme.lower() != "bearer" or not right:
            raise self._wrong.refusal()
        return True

    def _is_allowed(self, origin: str) -> bool:
        return origin.strip().lower() in self._origins


class _Wrong:
    """Counts wrong tokens, and tells a client that goes on and on to stop. Lives on the event loop."""

    def __init__(self) -> None:
        self._left = float(WRONG_MOST)
        self._at = time.monotonic()
        self._is_told = False

    def refusal(self) -> RequestError:
        """Return the answer to one more."""
        now = time.monotonic()
        self._left = min(WRONG_MOST, self._left + (now - self._at) / WRONG_EVERY)
        self._at = now
        if self._left >= 1:
            self._is_told = self._is_told and self._left < WRONG_MOST
            self._left -= 1
            return unauthorized("this is not the token")
        if not self._is_told:
            self._is_told = True
            words = "wrong tokens come one after another; they are turned away until that ends"
            event(_LOG, logging.WARNING, "control.refused", words)
        return RequestError(
            429,
            "too many wrong tokens have been shown",
            hint="read the token anew from the file that control.token_file names, and wait a second",
            kind="ControlRefusedError",
            headers={"Retry-After": "1"},
            close=True,
        )


def unauthorized(message: str) -> RequestError:
    """Return the answer to a client that is not known."""
    return RequestError(
        401,
        message,
        hint="send `Authorization: Bearer TOKEN`; the token is in the file that control.token_file names, "
        "by default control-token in the state folder",
        kind="ControlRefusedError",
        headers={"WWW-Authenticate": 'Bearer realm="sessiond"'},
    )


def _refused(message: str, hint: str) -> RequestError:
    return RequestError(403, message, hint=hint, kind="ControlRefusedError")
