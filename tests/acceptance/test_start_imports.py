"""What a process has imported by the time it is ready: imports are nine tenths of a start.

They are counted by name, which a busy machine does not change; `benchmarks/restarts.py` has the seconds.
"""

import json
import subprocess
import sys
from pathlib import Path

from tests import builders
from tests.acceptance.processes import Daemon, environment

_TELLING = """
import json, ssl, sys, threading
before = set(sys.modules)  # a measuring tool may have brought its own
reads = []
ssl.SSLContext.set_default_verify_paths = lambda context: reads.append("certificates")
def tell():
    for line in sys.stdin:
        print(json.dumps(sorted(set(sys.modules) - before) + reads), flush=True)
threading.Thread(target=tell, daemon=True).start()
from sessiond.main import entry
entry()
"""
"""The daemon. It answers each line on its standard input with the modules it has imported, and with
`certificates` if it has read those of the machine."""

_QUESTIONS = "sessionlib.db.queries.named"

_NEVER = {
    "certificates",
    "alembic",  # the schema is the newest
    "prometheus_client",
    "rich",
    "sessionlib.db.moving",
    "sessionlib.models.agent",
    "sessionlib.models.agent_log",
    "sessionlib.models.session",
    _QUESTIONS,
}
_OTHER = {
    "sqlite": {"psycopg", "sqlalchemy.dialects.postgresql"},
    "postgresql": {"sqlalchemy.dialects.sqlite"},
}


class Telling(Daemon):
    """A daemon that tells which modules it has imported."""

    def begin(self) -> None:
        """Start it, and wait until it is ready."""
        roots = map(str, self.roots)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _TELLING, "run", "--allow-root", *roots],
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.wait_for_event("sessiond.ready")

    def imported(self) -> set[str]:
        """Ask for the modules."""
        process = self.process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        return set(json.loads(process.stdout.readline()))

    def close(self) -> None:
        """Stop it, and leave no pipe open."""
        process = self.process
        assert process is not None
        self.stop()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def test_a_ready_daemon_has_imported_what_it_needs_to_follow_files(database_url: str, tmp_path: Path) -> None:
    """No migrations, no certificates, no other dialect; the questions come with the first one."""
    builders.make_project(tmp_path / "code" / "shop", ["one"])
    daemon = Telling(
        [tmp_path / "code"], environment(database_url, tmp_path / "state"), tmp_path / "daemon.log"
    )
    daemon.begin()
    try:
        imported = daemon.imported()
        assert "aiohttp.web" in imported
        kind = database_url.partition(":")[0]
        assert imported & (_NEVER | _OTHER[kind]) == set()
        assert [row["slug"] for row in daemon.client.sessions(wait=20, max_age=5)["rows"]] == ["one"]
        assert _QUESTIONS in daemon.imported()
    finally:
        daemon.close()


_ASKING = """
import gc, json, sys
before = set(sys.modules)
collected = sum(one["collections"] for one in gc.get_stats())
from sessionlib.cli.entry import main
code = main()
collected = sum(one["collections"] for one in gc.get_stats()) - collected
seen = sorted(set(sys.modules) - before)
print(json.dumps([code, collected, gc.get_freeze_count(), seen]), file=sys.stderr)
"""


def test_a_command_without_a_daemon_imports_its_own_database_alone(database_url: str, tmp_path: Path) -> None:
    """No other dialect, no migrations, no server; and hardly ever a look for garbage."""
    done = subprocess.run(
        [sys.executable, "-c", _ASKING, "sessions"],
        env=environment(database_url, tmp_path / "state"),
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    code, collected, frozen, imported = json.loads(done.stderr.splitlines()[-1])
    assert code == 0
    assert "sqlalchemy" in imported
    kind = database_url.partition(":")[0]
    others = _OTHER[kind] | {"aiohttp", "alembic", "sessionlib.models.agent", "watchdog"}
    assert set(imported) & others == set()
    assert collected < 20
    assert frozen > 10_000
