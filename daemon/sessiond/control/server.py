"""The control server: one thread with an event loop, on a Unix socket and, where wanted, a loopback port."""

import asyncio
import logging
import socket
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

from sessiond.control.admission import Admission
from sessiond.control.backend import Backend
from sessiond.control.birth import Born, bear, bind_loopback
from sessiond.control.serving import Limits, Serving
from sessiond.logs import event
from sessionlib.errors import ConfigError

_LOG = logging.getLogger("sessiond.control")

_PING_MOST = 1.0
_FOR_ANSWERS = 0.8
"""The part of the time to stop that requests have to end by themselves."""

_LOOPBACK = {"localhost": "127.0.0.1", "127.0.0.1": "127.0.0.1", "::1": "::1"}
_PORTS = 0x10000


class ControlServer:
    """Serves the daemon's control routes. Its methods may be called from any thread.

    Args:
        backend: The daemon.
        socket_path: Where the Unix socket is made, in a folder of its own.
        listen: ``host:port`` of a loopback listener too; empty for none. Port 0 takes any free one.
        token: What clients of the loopback listener must show.
        origins: Web origins whose pages may use the loopback listener.
        clients: Connections that may be open at once; half of them may be event streams.
        request_timeout: Seconds in which a request must have come.
        version: As clients see it.

    Raises:
        ConfigError: `listen` is no loopback address with a port, or there is no token for it.
    """

    def __init__(  # noqa: PLR0913 - the settings of [control], by name
        self,
        backend: Backend,
        *,
        socket_path: Path,
        listen: str = "",
        token: str | None = None,
        origins: Sequence[str] = (),
        clients: int = 64,
        request_timeout: float = 5.0,
        version: str,
    ) -> None:
        self._backend = backend
        self._socket_path = socket_path
        self._listen = _parse(listen) if listen else None
        self._token = token or ""
        self._origins = tuple(origins)
        self._limits = Limits(clients=clients, request_timeout=request_timeout)
        self._version = version
        self._born: Born | None = None
        self._tcp: socket.socket | None = None
        self._address: tuple[str, int] | None = None
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = asyncio.Event()
        self._deadline = 0.0
        if self._listen is not None and not self._token:
            raise ConfigError("control.listen needs a token", key="control.token_file")

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port of the loopback listener, if there is one."""
        return self._address

    @property
    def is_alive(self) -> bool:
        """True while requests are served: from the end of `start` until `stop`."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def start(self) -> None:
        """Bind, listen, and return once requests are answered; only once.

        The caller holds the instance lock: a socket that nobody listens to is replaced.

        Raises:
            ConfigError: The socket or the port cannot be had.
            InstanceLockedError: Another process listens on the socket.
        """
        ready: Future[None] = Future()
        self._born = bear(self._socket_path)
        try:
            if self._listen is not None:
                self._tcp = bind_loopback(*self._listen)
                host, port = self._tcp.getsockname()[:2]
                self._address = host, port
            self._thread = Thread(target=self._run, args=(ready,), name="control", daemon=True)
            self._thread.start()
            ready.result()
        except BaseException:
            self._close_listeners()
            raise
        where = f"{self._address[0]}:{self._address[1]}" if self._address else None
        socket_path = str(self._socket_path)
        event(_LOG, logging.INFO, "control.listening", "listening", socket=socket_path, listen=where)

    def stop(self, timeout: float = 5.0) -> None:
        """Refuse new connections, end what waits with a clear answer, and close; safe to call twice.

        Blocks for at most `timeout` seconds. A request whose work hangs is cut off.
        """
        thread, loop = self._thread, self._loop
        if thread is None or loop is None:
            return
        self._thread = None
        started = time.monotonic()
        self._deadline = started + timeout * _FOR_ANSWERS
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._ending.set)
        thread.join(timeout)
        hangs = thread.is_alive()
        self._close_listeners()
        event(
            _LOG,
            logging.WARNING if hangs else logging.INFO,
            "control.stopped",
            "the control thread hangs and is left behind" if hangs else "no longer listening",
            for_s=round(time.monotonic() - started, 2),
        )

    def ping(self) -> float | None:
        """Return how many seconds the event loop took to answer; None when it has not after one."""
        loop = self._loop
        if loop is None:
            return None
        answered = Event()
        started = time.monotonic()
        try:
            loop.call_soon_threadsafe(answered.set)
        except RuntimeError:
            return None
        return time.monotonic() - started if answered.wait(_PING_MOST) else None

    def _close_listeners(self) -> None:
        born, self._born = self._born, None
        if born is not None:
            born.listener.close()
            born.bury()
        if self._tcp is not None:
            self._tcp.close()

    def _run(self, ready: "Future[None]") -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._serve(ready))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must be told to `start` or to the log
            if not ready.done():
                ready.set_exception(error)
            else:
                _LOG.critical(
                    "the control server ended",
                    exc_info=error,
                    extra={"event": "control.failed", "fields": {}},
                )

    async def _serve(self, ready: "Future[None]") -> None:
        admission = Admission(self._token, self._origins, self._address[1]) if self._address else None
        serving = Serving(self._backend, version=self._version, limits=self._limits, admission=admission)
        listeners = [self._born.listener] if self._born else []
        serving.open([*listeners, *([self._tcp] if self._tcp else [])])
        self._loop = asyncio.get_running_loop()
        ready.set_result(None)
        await self._ending.wait()
        await serving.refuse()
        self._close_listeners()
        await serving.close(self._deadline)


def _parse(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    name = _LOOPBACK.get(host.strip("[]").lower())
    if name is None or not (port.isascii() and port.isdecimal()) or int(port) >= _PORTS:
        raise ConfigError(
            f"control.listen: {listen!r} is no loopback address with a port",
            key="control.listen",
            hint="127.0.0.1:7717, [::1]:7717 or localhost:7717",
        )
    return name, int(port)
