"""A Unix socket that answers as the test says, byte by byte: what no well-behaved server would do."""

import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

Answer = Callable[[socket.socket, bytes], None]
"""Given a connection and the request that came, does something; the connection is closed after."""


class Stub:
    """What listens, and the requests that came."""

    def __init__(self, folder: Path, answer: Answer) -> None:
        self.path = folder / "control.sock"
        self.requests: list[bytes] = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(16)
        self._thread = threading.Thread(target=self._serve, name="stub")
        self._workers: list[threading.Thread] = []
        self.ended = threading.Event()

    def start(self) -> None:
        """Begin to accept."""
        self._thread.start()

    def stop(self) -> None:
        """End it, and everything that waits for `ended`."""
        self.ended.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        for worker in self._workers:
            worker.join(5)
        self._listener.close()

    def _serve(self) -> None:
        while not self.ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            worker = threading.Thread(target=self._work, args=(connection,))
            self._workers.append(worker)
            worker.start()

    def _work(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(5)
            request = b""
            while b"\r\n\r\n" not in request and (part := connection.recv(65536)):
                request += part
            self.requests.append(request)
            self._answer(connection, request)


def sends(*parts: bytes) -> Answer:
    """Return the answer that sends these parts."""

    def answer(connection: socket.socket, _: bytes) -> None:
        for part in parts:
            connection.sendall(part)

    return answer


def says(body: bytes, status: str = "200 OK") -> Answer:
    """Return the answer with a body of JSON."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return sends(head.encode() + body)


@contextmanager
def stub(answer: Answer | None = None) -> Iterator[Stub]:
    """Run a stub in a folder with a short path; without an answer it accepts, reads and stays silent."""
    folder = Path(tempfile.mkdtemp(prefix="stub"))
    made = Stub(folder, answer or (lambda _, __: made.ended.wait(20) and None))
    made.start()
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)
