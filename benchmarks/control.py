"""What asking the daemon costs: ``sessionctl status`` as a process, the routes, rescans, starts, idling."""

import argparse
import contextlib
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.corpus import document, make_sessions
from benchmarks.daemon import databases, running
from benchmarks.table import Row, percentile, show
from sessionlib.control import ControlClient
from sessionlib.errors import ControlError

_STATUS = "import sys; from sessionlib.cli.entry import main; sys.exit(main(['status']))"


def timed(call: Callable[[], object], count: int) -> list[float]:
    """Return how many milliseconds each call took."""
    took = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        took.append((time.perf_counter() - began) * 1000)
    return took


def spread(took: list[float]) -> dict[str, float]:
    """Return the usual figures."""
    return {"p50 ms": percentile(took, 50), "p99 ms": percentile(took, 99)}


def run(code: str, environment: dict[str, str]) -> None:
    """Run a program as a process of its own."""
    command = [sys.executable, "-c", code]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)


def process_cpu(pid: int) -> tuple[float, int]:
    """Return the CPU seconds a process has used, and its resident megabytes."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    ticks = int(fields[11]) + int(fields[12])
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return ticks / os.sysconf("SC_CLK_TCK"), pages * resource.getpagesize() // 1_000_000


def fresh(client: ControlClient) -> None:
    """Wait until the daemon is up and has mirrored everything."""
    while True:
        with contextlib.suppress(ControlError):
            if not client.status().stale:
                return
        time.sleep(0.05)


def cases(kind: str, *, projects: int, sessions: int, idle: int) -> list[Row]:
    """Measure one kind of database."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, databases(kind) as (url, _):
        code, state = Path(folder) / "code", Path(folder) / "state"
        state.mkdir()
        folders = [
            made
            for number in range(projects)
            for made in make_sessions(code / f"p{number:03d}", sessions, start=number * sessions)
        ]
        client = ControlClient(state / "run" / "control.sock", timeout=60)
        began = time.perf_counter()
        with running(code, url, state):
            fresh(client)
        imported = time.perf_counter() - began
        began = time.perf_counter()
        with running(code, url, state) as daemon:
            fresh(client)
            rows.append(
                Row(
                    f"{kind}: import; restart, all unchanged",
                    {
                        "import s": imported,
                        "restart s": time.perf_counter() - began,
                    },
                )
            )
            environment = os.environ | {"SESSIOND_DATABASE_URL": url, "SESSIOND_STATE_DIR": str(state)}
            bare, status = [], []
            for _ in range(20):
                bare += timed(lambda: run("pass", environment), 1)
                status += timed(lambda: run(_STATUS, environment), 1)
            rows.append(
                Row(
                    f"{kind}: `sessionctl status` as a process",
                    {
                        "median ms": statistics.median(status),
                        "interpreter ms": statistics.median(bare),
                        "beside it ms": statistics.median(status) - statistics.median(bare),
                    },
                )
            )
            rows.append(Row(f"{kind}: GET /status", spread(timed(client.status, 200))))
            rows.append(Row(f"{kind}: GET /sessions, 50 rows", spread(timed(client.sessions, 100))))
            rows.append(Row(f"{kind}: GET /metrics", spread(timed(client.metrics, 50))))
            shop = folders[0].parents[2]
            rows.append(
                Row(
                    f"{kind}: POST /rescan, a project unchanged",
                    spread(timed(lambda: client.rescan(path=shop), 100)),
                )
            )

            def write_and_ask() -> None:
                chosen = random.choice(folders[:sessions])
                tree = document(1) | {"topic": str(time.time_ns())}
                drawn = chosen / ".drawn"
                drawn.write_text(json.dumps(tree))
                drawn.replace(chosen / "state.json")
                client.rescan(path=shop)

            rows.append(Row(f"{kind}: write, rescan, read own write", spread(timed(write_and_ask, 100))))
            rows.append(Row(f"{kind}: POST /rescan, everything unchanged", spread(timed(client.rescan, 10))))
            time.sleep(5)
            before, _ = process_cpu(daemon.pid)
            time.sleep(idle)
            after, resident = process_cpu(daemon.pid)
            rows.append(
                Row(
                    f"{kind}: idle for {idle} s",
                    {
                        "% of a core": (after - before) / idle * 100,
                        "resident MB": resident,
                    },
                )
            )
    return rows


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.control", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgres"], action="append")
    parser.add_argument("--projects", type=int, default=200)
    parser.add_argument("--sessions", type=int, default=50, help="in each project (default 50)")
    parser.add_argument("--idle", type=int, default=60, metavar="S", help="seconds to watch it idle (60)")
    given = parser.parse_args()
    for kind in given.database or ["sqlite", "postgres"]:
        show(cases(kind, projects=given.projects, sessions=given.sessions, idle=given.idle))


if __name__ == "__main__":
    main()
