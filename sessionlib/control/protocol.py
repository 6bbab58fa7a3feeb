"""One request to the daemon and its answer: HTTP/1.1 over its Unix socket, with next to no imports.

Written by hand because `http.client` takes longer to import (it brings the `email` package) than the daemon
takes to answer, and `sessionctl status` has 50 ms for everything. Only what the daemon speaks is understood:
an answer with a length, in chunks, or up to the end of the connection. One request, one connection.
"""

from __future__ import annotations

import errno
import socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES = 64 * 1024 * 1024
"""The longest answer that is read; a status with 10,000 workspaces has 3 MB."""

_MOST_HEAD = 64 * 1024
_CHUNK = 64 * 1024
_ABSENT = frozenset({errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
_DENIED = frozenset({errno.EACCES, errno.EPERM})

ABSENT, DENIED, SILENT, GARBLED = "absent", "denied", "silent", "garbled"


class Unanswered(Exception):  # noqa: N818 - what happened, not an error for people
    """There was no answer that can be used.

    Args:
        why: ABSENT: nothing listens there. DENIED: this user may not connect. SILENT: no answer in time.
            GARBLED: the connection was closed too early, or what came is not HTTP.
        detail: The system's words, if there are any.
    """

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(f"{why}: {detail}")
        self.why = why
        self.detail = detail


class Exchange:
    """One connection, one request, its answer. Not for several threads, but `abort` may come from any.

    Args:
        path: The Unix socket.
        timeout: Seconds for connecting, sending and receiving the head and a whole body.

    Raises:
        Unanswered: Nothing listens, or it may not be spoken with.
    """

    def __init__(self, path: str, timeout: float) -> None:
        self._deadline = time.monotonic() + timeout
        self._silence: float | None = None
        self._left = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._allow()
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise _unconnected(error) from error
        except BaseException:
            self._socket.close()
            raise

    def abort(self) -> None:
        """End a wait in another thread; its answer ends there as if the daemon had closed the connection."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def ask(
        self, method: str, target: str, body: bytes | None = None, headers: tuple[tuple[str, str], ...] = ()
    ) -> tuple[int, dict[str, str]]:
        """Send the request; return the answer's status and its headers, their names in lower case.

        Raises:
            Unanswered: There is none in time, or what comes is not HTTP.
        """
        lines = [f"{method} {target} HTTP/1.1", "Host: sessiond", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        head = "\r\n".join([*lines, "", ""]).encode("ascii")
        try:
            self._allow()
            self._socket.sendall(head + (body or b""))
        except TimeoutError as error:
            raise Unanswered(SILENT) from error
        except OSError:
            # Refused without being read; perhaps it has said why.
            pass
        return self._head()

    def body(self, headers: dict[str, str]) -> bytes:
        """Return the whole body.

        Raises:
            Unanswered: It does not come in time, is cut off, or is longer than `MOST_BYTES`.
        """
        parts = []
        size = 0
        for part in self.parts(headers):
            size += len(part)
            if size > MOST_BYTES:
                raise Unanswered(GARBLED, f"an answer of more than {MOST_BYTES} bytes")
            parts.append(part)
        return b"".join(parts)

    def parts(self, headers: dict[str, str], silence: float | None = None) -> Iterator[bytes]:
        """Yield the body as it comes.

        Args:
            headers: As `ask` returned them.
            silence: Seconds to wait for each part, for a body without an end; None keeps the deadline.

        Raises:
            Unanswered: It does not come in time, or is cut off.
        """
        self._silence = silence
        if headers.get("transfer-encoding", "").lower() == "chunked":
            yield from self._chunks()
        elif "content-length" in headers:
            yield from self._exactly(_number(headers["content-length"], 10))
        else:
            while part := self._some():
                yield part

    def _allow(self) -> None:
        """Give the next call of the socket what is left of the time."""
        left = self._deadline - time.monotonic() if self._silence is None else self._silence
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)

    def _some(self) -> bytes:
        """Return what has come; empty at the end."""
        if self._left:
            part, self._left = self._left, b""
            return part
        try:
            self._allow()
            return self._socket.recv(_CHUNK)
        except TimeoutError as error:
            raise Unanswered(SILENT) from error
        except OSError as error:
            raise Unanswered(GARBLED, error.strerror or str(error)) from error

    def _until(self, mark: bytes, most: int) -> bytes:
        """Return what comes before the mark."""
        seen = b""
        while mark not in seen:
            part = self._some()
            if not part:
                raise Unanswered(GARBLED, "the connection was closed")
            seen += part
            if len(seen) > most + len(part):
                raise Unanswered(GARBLED, "no HTTP")
        found, _, self._left = seen.partition(mark)
        return found

    def _exactly(self, count: int) -> Iterator[bytes]:
        while count:
            part = self._some()
            if not part:
                raise Unanswered(GARBLED, "the answer is cut off")
            self._left = part[count:]
            part = part[:count]
            count -= len(part)
            yield part

    def _chunks(self) -> Iterator[bytes]:
        while count := _number(self._until(b"\r\n", _MOST_HEAD).partition(b";")[0].decode("latin-1"), 16):
            yield from self._exactly(count)
            if self._until(b"\r\n", 2):
                raise Unanswered(GARBLED, "no HTTP")

    def _head(self) -> tuple[int, dict[str, str]]:
        first, *lines = self._until(b"\r\n\r\n", _MOST_HEAD).decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        if not version.startswith("HTTP/1."):
            raise Unanswered(GARBLED, "no HTTP")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return _number(rest[:3], 10), headers


def fetch(
    path: str, method: str, target: str, *, body: bytes | None = None, timeout: float
) -> tuple[int, bytes]:
    """Send one request; return the status and the body of the answer. Blocks for at most `timeout` seconds.

    Raises:
        Unanswered: There is no answer that can be used.
    """
    exchange = Exchange(path, timeout)
    try:
        status, headers = exchange.ask(method, target, body)
        return status, exchange.body(headers)
    finally:
        exchange.close()


def _number(text: str, base: int) -> int:
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if number < 0:
        raise Unanswered(GARBLED, "no HTTP")
    return number


def _unconnected(error: OSError) -> Unanswered:
    # A path that is too long for a socket has no error number; no daemon can listen there either.
    if error.errno in _ABSENT or (error.errno is None and not isinstance(error, TimeoutError)):
        return Unanswered(ABSENT, error.strerror or str(error))
    if error.errno in _DENIED:
        return Unanswered(DENIED, error.strerror or "")
    # A full queue of connections says EAGAIN at once: whoever listens does not accept any.
    return Unanswered(SILENT, error.strerror or "")
