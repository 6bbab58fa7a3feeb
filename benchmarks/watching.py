"""Arming the watches: ours beside watchdog's recursive observer and watchfiles, in turn on the same trees."""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import corpus, peers
from benchmarks.cases import BenchmarkError, Figure, Options, Row
from benchmarks.table import median

NAME = "watching"
GOAL = "≤ 0.3 s, one watch a session and a few a project; ahead of watchdog recursive and watchfiles"

_PROJECTS = 200
_CHAIN = 4
"""Watches a project may cost beside its sessions: itself, the way to its sessions, and those."""


def run(options: Options) -> Iterator[Row]:
    """Measure one large project beside a node_modules, and many small ones."""
    with tempfile.TemporaryDirectory(dir=corpus.memory()) as folder:
        one, many = Path(folder) / "one", Path(folder) / "many"
        modules = 50 if options.quick else 1250
        session = make(one, 1, options.sessions)
        _make_modules(one / "p0" / "node_modules", modules)
        files = f"{options.sessions:,} sessions beside {modules * 40:,} files of node_modules"
        yield _compared(files, one, session, (1, options.sessions), options)
        projects = 4 if options.quick else _PROJECTS
        each = options.sessions // projects
        session = make(many, projects, each)
        yield _compared(f"{projects} projects of {each} sessions", many, session, (projects, each), options)


def _compared(name: str, top: Path, session: Path, size: tuple[int, int], options: Options) -> Row:
    """Arm each watcher in turn, several times; each must ring in the end."""
    runs: dict[str, list[peers.Figures]] = {kind: [] for kind in peers.KINDS}
    for _ in range(options.repeats):
        for kind, measured in runs.items():
            figures = peers.measured(kind, top, session)
            measured.extend([figures] if figures is not None else [])
    shown: dict[str, Figure] = {}
    for kind, measured in runs.items():
        shown |= _shown(kind, measured)
    if any(math.inf in one.rings for one in runs["ours"]):
        raise BenchmarkError("a save right after the set-up was not seen")
    ours, *others = (median([one.seconds for one in measured]) for measured in runs.values())
    projects, each = size
    few = runs["ours"][0].watches <= projects * (each + _CHAIN) + 2
    reached = few and ours <= 0.3 and not any(other < ours for other in others)
    return Row(f"watch set-up, {name}", shown, reached=None if options.quick else reached)


def _shown(kind: str, measured: list[peers.Figures]) -> dict[str, Figure]:
    if not measured:
        return {kind: "not installed"}
    first = measured[0]
    deaf = sum(math.inf in one.rings for one in measured)
    seconds = median([one.seconds for one in measured]) * 1000
    costs = f"{first.watches:,} watches, {first.threads} threads, {first.megabytes:.0f} MB"
    return {kind: f"{seconds:.0f} ms, {costs}" + (f", no event of a save {deaf} times" if deaf else "")}


def make(top: Path, projects: int, sessions: int) -> Path:
    """Make sessions, tiny and each with a folder of its own in it; return one of them."""
    for project in range(projects):
        for session in range(sessions):
            folder = top / f"p{project}" / "agents" / "sessions" / f"s{session}"
            (folder / "notes").mkdir(parents=True)
            (folder / "state.json").write_bytes(b"{}")
    return top / "p0" / "agents" / "sessions" / "s0"


def _make_modules(top: Path, count: int) -> None:
    """Make so many packages of five folders and forty files."""
    for number in range(count):
        for name in ("", "lib", "lib/esm", "lib/cjs", "types"):
            folder = top / f"package-{number}" / name
            folder.mkdir(parents=True)
            for file in range(8):
                (folder / f"index{file}.js").touch()
