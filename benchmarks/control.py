"""What asking the daemon costs: ``sessionctl status`` as a process, the routes, rescans."""

import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks import corpus, daemon
from benchmarks.cases import Figure, Options, Row
from benchmarks.table import percentile
from sessionlib.control import ControlClient

NAME = "control"
GOAL = ""

_STATUS = "import sys; from sessionlib.cli.entry import main; sys.exit(main(['status']))"
_PROJECTS = 200


def run(options: Options) -> Iterator[Row]:
    """Measure on each database, with 200 projects."""
    projects = 3 if options.quick else _PROJECTS
    each = max(1, options.sessions // projects)
    for kind in options.databases:
        with tempfile.TemporaryDirectory() as folder, daemon.databases(kind) as (url, _):
            code = Path(folder) / "code"
            for number in range(projects):
                corpus.make_sessions(code / f"p{number:03d}", each, start=number * each)
            with daemon.running(code, url, Path(folder) / "state") as process:
                process.settled()
                for name, figures in _asked(process, code / "p000", 3 if options.quick else 100):
                    yield Row(f"{kind}, {projects} projects of {each}: {name}", figures)


def _asked(process: daemon.Daemon, project: Path, count: int) -> Iterator[tuple[str, dict[str, Figure]]]:
    """Ask one running daemon in every way; most of them so many times."""
    client = process.client
    yield "`sessionctl status` as a process", _as_a_process(process.environment, max(3, count // 5))
    yield "GET /status", _timed(client.status, 2 * count)
    yield "GET /sessions, 50 rows", _timed(client.sessions, count)
    yield "GET /metrics", _timed(client.metrics, count // 2 + 1)
    yield "POST /rescan, a project unchanged", _timed(lambda: client.rescan(path=project), count)
    yield "write, rescan, read own write", _timed(lambda: _write_and_ask(client, project), count)
    yield "POST /rescan, everything unchanged", _timed(client.rescan, count // 10 + 1)


def _timed(call: Callable[[], object], count: int) -> dict[str, Figure]:
    took = [_milliseconds(call) for _ in range(count)]
    return {"p50 ms": percentile(took, 50), "p99 ms": percentile(took, 99)}


def _milliseconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def _as_a_process(environment: Mapping[str, str], count: int) -> dict[str, Figure]:
    """Compare asking with starting the interpreter alone, turn by turn."""
    # Installed programs find their bytecode; without it each start compiles its modules anew.
    kept = {name: value for name, value in environment.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def program(code: str) -> Callable[[], object]:
        command = [sys.executable, "-c", code]
        return lambda: subprocess.run(command, env=kept, stdout=subprocess.DEVNULL, check=False)

    bare, status = [], []
    for _ in range(count):
        bare.append(_milliseconds(program("pass")))
        status.append(_milliseconds(program(_STATUS)))
    asked, interpreter = statistics.median(status), statistics.median(bare)
    return {"median ms": asked, "interpreter alone ms": interpreter, "beside it ms": asked - interpreter}


def _write_and_ask(client: ControlClient, project: Path) -> None:
    folder = random.choice(list((project / "agents" / "sessions").iterdir()))
    tree = corpus.document(int(folder.name.rsplit("-", 1)[-1])) | {"topic": str(time.monotonic_ns())}
    corpus.replace(folder / "state.json", corpus.encoded(tree))
    client.rescan(path=project)
