"""A proxy before PostgreSQL that resets a connection in the middle of a commit."""

import contextlib
import selectors
import socket
import struct
import threading
from collections.abc import Iterator

from sqlalchemy.engine import make_url

from tests import postgres
from tests.proxies import upstream_of

_AT_ONCE = struct.pack("ii", 1, 0)


class Resetter:
    """Forwards connections, each on a thread of its own, and resets those it is told to.

    Attributes:
        before: Commits to reset before the server hears of them.
        after: Commits to reset after the server has answered, before the client hears of it.
        done: How many were reset.

    Args:
        server: Where to.
    """

    def __init__(self, server: postgres.Server) -> None:
        self._upstream = upstream_of(server)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.before = self.after = self.done = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, url: str) -> str:
        """Return the URL of a database with the proxy in the place of its server."""
        parsed = make_url(url).set(host="127.0.0.1", port=self._listener.getsockname()[1])
        return parsed.difference_update_query(["host", "port"]).render_as_string(hide_password=False)

    def close(self) -> None:
        """End everything."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        family, address = self._upstream
        server = socket.socket(family)
        self._open |= {client, server}
        with contextlib.suppress(OSError), client, server, selectors.DefaultSelector() as selector:
            server.connect(address)
            selector.register(client, selectors.EVENT_READ)
            selector.register(server, selectors.EVENT_READ)
            while self._forward(client, server, selector):
                pass
        self._open -= {client, server}

    def _forward(
        self, client: socket.socket, server: socket.socket, selector: selectors.DefaultSelector
    ) -> bool:
        for key, _ in selector.select():
            peer = client if key.fileobj is client else server
            data = peer.recv(65536)
            if not data:
                return False
            kind = self._kind() if peer is client and b"COMMIT" in data else None
            if kind == "before":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                return False
            (server if peer is client else client).sendall(data)
            if kind == "after":
                # The server has done it; nobody will know.
                server.recv(65536)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                return False
        return True

    def _kind(self) -> str | None:
        with self._lock:
            if self.before:
                self.before -= 1
                self.done += 1
                return "before"
            if self.after:
                self.after -= 1
                self.done += 1
                return "after"
            return None


@contextlib.contextmanager
def resetting(server: postgres.Server) -> Iterator[Resetter]:
    """Give a proxy that passes until it is told otherwise, to the end of the block."""
    proxy = Resetter(server)
    try:
        yield proxy
    finally:
        proxy.close()
