"""Journals as clients leave them, and what ingest makes of them in a database: rows that can be compared."""

import os
import random
import shutil
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select

from sessionlib.db import tables
from sessionlib.db.engine import Database
from sessionlib.db.execution_rows import UsageRow
from sessionlib.journal.adapters import ADAPTERS
from sessionlib.journal.facts import Fact
from sessionlib.journal.spool import Spool
from sessionlib.sync.ingest import upkeep
from sessionlib.sync.ingest.deliveries import Deliveries
from sessionlib.sync.ingest.drafts import Draft, Folder
from sessionlib.sync.ingest.ingester import Ingester
from sessionlib.sync.ingest.owners import Owners
from sessionlib.sync.ingest.transcripts import Transcripts
from sessionlib.sync.registrar import Host, Registrar

FIXTURES = Path(__file__).parent / "fixtures" / "claude_code"
CLIENT = "claude-code"
HOST = Host(UUID(int=7), "anvil")
NOON_NS = 1_795_262_400_000_000_000
"""A time on the day on which the fixtures were recorded, in nanoseconds since 1970."""

COMPARED = (
    tables.conversations,
    tables.conversation_links,
    tables.agents,
    tables.client_costs,
    tables.todos,
    tables.agent_logs,
    tables.tool_calls,
    tables.usage_records,
    tables.usage_totals,
)
"""What must be the same whatever the order in which journals were read."""


def by_token(row: UsageRow) -> UsageRow:
    """Price a record: a millionth of a dollar a token."""
    total = row.input_tokens + row.output_tokens + row.cache_read_tokens + row.cache_write_5m_tokens
    return row._replace(cost_usd=Decimal(total) / 1_000_000, cost_source="table", price_version="1")


def unchanged(text: str) -> str:
    """Return a text as it is."""
    return text


class House:
    """A client's configuration folder, a spool, and ingest into one database.

    Args:
        database: With the current schema.
        folder: A folder of one's own.
        clean: Takes secrets out of texts.
        bodies: Characters of events' texts that are kept.
        registrar: Of a mirror of the same database.
        host: The machine.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        clean: Any = unchanged,
        bodies: int = 0,
        registrar: Registrar | None = None,
        host: Host = HOST,
    ) -> None:
        self.database = database
        self.host = host
        self.config = folder / "client"
        self.spool = Spool(folder / "spool")
        self.spool.prepare()
        self.adapter = ADAPTERS[CLIENT]
        self.clean = clean
        self.bodies = bodies
        self.registrar = registrar or Registrar(database, host)
        self.open()

    def open(self) -> None:
        """Begin as a new process does: knowing only what the database and the files say."""
        self.ingester = Ingester(
            self.database,
            Owners(self.database, self.host, self.registrar),
            self.host,
            price=by_token,
            started_in=lambda _, transcript, cwd: self.adapter.started_in(transcript, cwd),
        )
        self.transcripts = Transcripts(
            self.database, self.ingester, self.host.host_id, self.clean, bodies=self.bodies
        )
        self.transcripts.load()
        self.deliveries = Deliveries(self.spool, self.ingester, ADAPTERS, self.clean, bodies=self.bodies)

    def read(self, *, order: random.Random | None = None) -> int:
        """Read everything that changed, in any order if one is given; return the lines."""
        lines = 0
        for _ in range(2):
            # Twice: what nobody knew the conversation of is known then.
            found = list(self.transcripts.changed(self.adapter, self.config))
            if order is not None:
                order.shuffle(found)
            for journal in found:
                lines += sum(looked.lines for looked in self.transcripts.read(self.adapter, journal))
        self.count()
        return lines

    def drain(self) -> int:
        """Store all that lies in the spool; return the deliveries."""
        count = 0
        while True:
            done = self.deliveries.drain()
            count += done.stored + done.buried
            if not done.is_more:
                self.count()
                return count

    def count(self) -> None:
        """Count anew what was stored."""
        for _ in upkeep.count_stored(self.ingester):
            pass

    def deliver(self, body: bytes, number: int = 0, event: str = "", **context: str) -> None:
        """Leave a delivery in the spool as the hook does, so many milliseconds after noon."""
        at = NOON_NS + number * 1_000_000
        fields = {"client": CLIENT, "event": event, "at": str(at), "pid": "1", "size": str(len(body))}
        header = "".join(f"{name}: {value}\n" for name, value in (fields | context).items())
        content = header.encode() + b"\n" + body
        name = f"{at:020d}.1.{os.urandom(4).hex()},S={len(content)}"
        (self.spool.inbox / name).write_bytes(content)

    def take(self, facts: Iterable[tuple[str, Fact]]) -> list[tuple[str, Fact]]:
        """Store facts of conversations in one transaction; return those that nobody can place yet."""
        taken = list(facts)
        drafts: dict[str, Draft] = {}
        for native_id, fact in taken:
            draft = drafts.setdefault(native_id, Draft(CLIENT, native_id))
            Folder(draft, self.clean).fold([fact])
        done = self.ingester.store(drafts.values())
        self.count()
        return [one for one in taken if (CLIENT, one[0]) in done.unplaced]

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of a table in the order of their keys."""
        table = tables.metadata.tables[name]
        with self.database.read() as connection:
            found = connection.execute(select(table).order_by(*table.primary_key.columns))
            return [dict(row._mapping) for row in found]

    def row(self, name: str, **wanted: Any) -> dict[str, Any]:
        """Return the one row of a table that has these values."""
        found = [row for row in self.rows(name) if wanted.items() <= row.items()]
        assert len(found) == 1, (name, wanted, found)
        return found[0]

    def everything(self) -> dict[str, list[dict[str, Any]]]:
        """Return all rows that must not depend on the order of reading."""
        return {
            table.name: [_placeless(row, str(self.config)) for row in self.rows(table.name)]
            for table in COMPARED
        }


def _placeless(value: Any, place: str) -> Any:
    """Return a value without the place that the journals lie in."""
    if isinstance(value, dict):
        return {name: _placeless(one, place) for name, one in value.items()}
    if isinstance(value, list):
        return [_placeless(one, place) for one in value]
    return value.replace(place, "CONFIG") if isinstance(value, str) else value


def put_transcripts(config: Path, *versions: str) -> list[Path]:
    """Copy the recorded transcripts of some client versions, or of all, into a configuration folder."""
    for version in sorted((FIXTURES / "transcripts").iterdir()):
        if not versions or version.name in versions:
            shutil.copytree(version, config / "projects", dirs_exist_ok=True)
    return sorted((config / "projects").rglob("*.jsonl"))


def payloads() -> list[bytes]:
    """Return the recorded payloads of hooks in the order of their names."""
    return [path.read_bytes() for path in sorted((FIXTURES / "hooks").glob("*.json"))]


def facts_in(config: Path) -> Iterator[tuple[str, Fact]]:
    """Yield all that the transcripts of a configuration folder say, and whose conversation it is about."""
    adapter = ADAPTERS[CLIENT]
    for journal in adapter.journals(config):
        reader = adapter.reader(journal, None)
        native_id = journal.native_id
        for line in journal.path.read_bytes().splitlines():
            said = reader.read(line)
            if said is not None:
                native_id = said[0]
                for fact in said[1]:
                    yield native_id, fact
        if journal.beside is not None and journal.beside.exists() and native_id is not None:
            for fact in adapter.beside(journal, journal.beside.read_bytes()):
                yield native_id, fact


def differences(one: dict[str, list[dict[str, Any]]], other: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return what two results of `House.everything` differ in, in words."""
    found = []
    for table in COMPARED:
        keys = [column.name for column in table.primary_key.columns]
        rows, others = (
            {tuple(str(row[key]) for key in keys): row for row in result[table.name]}
            for result in (one, other)
        )
        found += [f"{table.name}: only the first has {key}" for key in rows.keys() - others.keys()]
        found += [f"{table.name}: only the second has {key}" for key in others.keys() - rows.keys()]
        for key in rows.keys() & others.keys():
            unlike = {
                name: (value, others[key][name])
                for name, value in rows[key].items()
                if value != others[key][name]
            }
            if unlike:
                found.append(f"{table.name}: {key} differs in {unlike}")
    return found
