"""From transcripts into the database, end to end; a backlog of events beside a bare load of the same rows.

End to end is what the daemon's tracker does: reading, folding, redaction, prices, rows, one transaction for
each half megabyte, the cursor beside them. It is told in processor time too, because a shared machine gives a
part of its time to others.
"""

import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import psycopg

from benchmarks import corpus, daemon, usage
from benchmarks.cases import BenchmarkError, Options, Row
from sessionlib.db import execution, schema, tables
from sessionlib.db.encoding import for_sqlite
from sessionlib.db.engine import Database
from sessionlib.db.execution_rows import AgentLogRow
from sessionlib.journal.adapters import ADAPTERS
from sessionlib.models.base import derived_id
from sessionlib.redaction import Redactor
from sessionlib.sync.ingest import upkeep
from sessionlib.sync.ingest.drafts import Draft
from sessionlib.sync.ingest.ingester import Ingester
from sessionlib.sync.ingest.owners import Owners
from sessionlib.sync.ingest.prices import pricer
from sessionlib.sync.ingest.rowing import agent_id_of, conversation_id_of
from sessionlib.sync.ingest.transcripts import Transcripts
from sessionlib.sync.registrar import Host, Registrar

NAME = "ingest"
GOAL = "≥ 5,000 messages a second; a backlog ≥ 30 % of a bare load; ≤ 150 MB for 1 GB"

_FIXTURES = Path(__file__).parent.parent / "tests" / "fixtures" / "claude_code" / "transcripts" / "2.1.330"
_HOST = Host(UUID(int=9), "benchmark")
_CLIENT = "claude-code"
_LEAST, _SHARE, _MOST_MB = 5_000, 0.30, 150
_START = datetime(2026, 1, 1, tzinfo=UTC)
_LINES = 4_000
"""Lines of one conversation."""
_TOGETHER = 1_000
"""Events in a transaction, about what half a megabyte of a transcript holds."""


def run(options: Options) -> Iterator[Row]:
    """Measure on each database."""
    with tempfile.TemporaryDirectory(dir=corpus.memory()) as folder:
        config = Path(folder) / "client"
        size = make_transcripts(config, 1_000_000 if options.quick else 30_000_000)
        for kind in options.databases:
            yield _end_to_end(kind, config, size, options)
    for kind in options.databases:
        yield _backlog(kind, options)
    if options.full:
        yield _memory()


# --- end to end --------------------------------------------------------------------------------------


def make_transcripts(config: Path, most: int) -> int:
    """Write conversations made of recorded lines, each under an id of its own; return the bytes."""
    lines = [
        orjson.loads(line)
        for path in sorted(_FIXTURES.rglob("*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]
    lines = [line for line in lines if line.get("type") in ("user", "assistant", "system", "attachment")]
    size = number = 0
    while size < most:
        native_id = f"{number:08d}-0000-0000-0000-000000000000"
        path = config / "projects" / "-home-dev-code" / f"{native_id}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = b"".join(
            _line(lines[turn % len(lines)], native_id, number, turn, len(lines)) for turn in range(_LINES)
        )
        path.write_bytes(content)
        size += len(content)
        number += 1
    return size


def _line(line: dict[str, Any], native_id: str, number: int, turn: int, count: int) -> bytes:
    """Return a line as another one: ids that belong together are changed alike."""
    at = _START + timedelta(hours=number, milliseconds=turn * 500)
    mark = f"{number}x{turn // count}"
    changed = orjson.dumps(
        line
        | {
            "uuid": f"{native_id}-{turn}",
            "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "sessionId": native_id,
            "isSidechain": False,
        }
    )
    return (
        changed.replace(b'"toolu_', f'"toolu_{mark}'.encode()).replace(b'"msg_', f'"msg_{mark}'.encode())
        + b"\n"
    )


def _read(url: str, config: Path) -> int:
    """Read everything into a database; return the lines."""
    database = Database(url)
    schema.upgrade(database)
    clean = Redactor().clean
    client = ADAPTERS[_CLIENT]
    ingester = Ingester(
        database,
        Owners(database, _HOST, Registrar(database, _HOST)),
        _HOST,
        price=pricer({}),
        started_in=lambda _, transcript, cwd: client.started_in(transcript, cwd),
    )
    transcripts = Transcripts(database, ingester, _HOST.host_id, clean)
    transcripts.load()
    lines = sum(
        looked.lines
        for journal in transcripts.changed(client, config)
        for looked in transcripts.read(client, journal)
    )
    for _ in upkeep.count_stored(ingester):
        pass
    database.close()
    return lines


def _end_to_end(kind: str, config: Path, size: int, options: Options) -> Row:
    taken = []
    for _ in range(options.repeats):
        with daemon.databases(kind) as (url, _):
            began, busy = time.perf_counter(), time.process_time()
            lines = _read(url, config)
            taken.append((time.perf_counter() - began, time.process_time() - busy))
    seconds = statistics.median(one for one, _ in taken)
    busy = statistics.median(one for _, one in taken)
    return Row(
        f"transcripts into {kind}, {size / 1e6:.0f} MB",
        {
            "messages /s": lines / seconds,
            "MB/s": size / seconds / 1e6,
            "messages a second of our CPU": lines / busy,
        },
        goal=f"≥ {_LEAST:,} messages/s",
        reached=None if options.quick else lines / seconds >= _LEAST,
    )


def _memory() -> Row:
    """Read a gigabyte in a process of its own, and see how large that became."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "client"
        size = make_transcripts(config, 1_000_000_000)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.ingest", f"sqlite:///{folder}/mirror.db", str(config)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BenchmarkError(done.stderr[-500:])
        peak = float(done.stdout)
    return Row(
        f"memory for {size / 1e9:.1f} GB of transcripts",
        {"peak MB": peak},
        goal=f"≤ {_MOST_MB} MB",
        reached=peak <= _MOST_MB,
    )


# --- a backlog of events -----------------------------------------------------------------------------


def _backlog(kind: str, options: Options) -> Row:
    count = 5_000 if options.quick else 200_000
    pairs = []
    for _ in range(options.repeats):
        taken = []
        for load in (_bare, _ours):
            with daemon.databases(kind) as (url, _):
                rows = _prepared(url, count)
                began = time.perf_counter()
                load(kind, url, rows)
                taken.append(time.perf_counter() - began)
        pairs.append(taken)
    bare, ours = (statistics.median(one[place] for one in pairs) for place in (0, 1))
    share = statistics.median(one[0] / one[1] for one in pairs)
    return Row(
        f"backlog of {count:,} events, {kind}",
        {"share of the bare rate %": share * 100, "ours /s": count / ours, "bare /s": count / bare},
        goal=f"≥ {_SHARE:.0%} of a bare load",
        reached=None if options.quick else share >= _SHARE,
    )


def _prepared(url: str, count: int) -> list[AgentLogRow]:
    """Make the schema and ten conversations; return events of them, in the order of their times."""
    database = Database(url)
    schema.upgrade(database)
    ingester = Ingester(
        database,
        Owners(database, _HOST, Registrar(database, _HOST)),
        _HOST,
        price=lambda row: row,
        started_in=lambda *_: None,
    )
    at = "2026-01-01T00:00:00.000000Z"
    natives = [f"conversation-{number}" for number in range(10)]
    ingester.store(Draft(_CLIENT, one, {"first": at, "last": at, "cwd": [at, "/nowhere"]}) for one in natives)
    with database.read() as connection:
        known = execution.conversations(connection, [(_CLIENT, one) for one in natives])
    project_id = next(iter(known.values())).project_id
    database.close()
    rows = []
    for number in range(count):
        conversation_id = conversation_id_of(_CLIENT, natives[number * 10 // count])
        rows.append(
            AgentLogRow(
                project_id,
                conversation_id,
                str(derived_id("event", number)),
                agent_id_of(conversation_id, ""),
                "hook",
                "PostToolUse",
                "Bash",
                f"toolu_{number}",
                _START + timedelta(seconds=number),
                1_234,
                "0123456789abcdef",
                None,
            )
        )
    return rows


def _ours(_: str, url: str, rows: Sequence[AgentLogRow]) -> None:
    database = Database(url)
    for start in range(0, len(rows), _TOGETHER):
        with database.write() as connection:
            execution.write_logs(connection, rows[start : start + _TOGETHER])
    database.close()


def _bare(kind: str, url: str, rows: Sequence[AgentLogRow]) -> None:
    """Load the rows as they stand, in one transaction: COPY, or plain INSERT by executemany."""
    table = tables.agent_logs
    if kind == "sqlite":
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN IMMEDIATE")
        marks = ", ".join("?" * len(table.columns))
        connection.executemany(f"INSERT INTO {table.name} VALUES ({marks})", for_sqlite(table, rows))
        connection.execute("COMMIT")
        connection.close()
        return
    names = ", ".join(column.name for column in table.columns)
    with (
        psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as server,
        server.cursor() as cursor,
        cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row(row)


if __name__ == "__main__":
    _read(sys.argv[1], Path(sys.argv[2]))
    # Not getrusage's: that begins with what the process had that this one was started from.
    print(usage.used(os.getpid()).peak)
