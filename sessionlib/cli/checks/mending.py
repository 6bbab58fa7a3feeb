"""What `sessionctl quality --fix` puts right: sums, ends, prices and forgotten files."""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from sqlalchemy import Connection

from sessionlib.cli.checks.quality import Moment
from sessionlib.cli.text import words
from sessionlib.config import Config
from sessionlib.db.engine import Database, take_time
from sessionlib.db.queries import quality, quality_sums
from sessionlib.journal.adapters import ADAPTERS
from sessionlib.sync.ingest import mending, upkeep
from sessionlib.sync.ingest.ingester import Ingester
from sessionlib.sync.ingest.owners import Owners
from sessionlib.sync.ingest.prices import pricer
from sessionlib.sync.registrar import Host, Registrar

T = TypeVar("T")


def mend(database: Database, moment: Moment) -> list[str]:
    """Mend what can be mended without asking anybody; return what was done, a sentence each.

    Raises:
        DatabaseError: Some of it may be done; to begin again is safe.
    """
    config = moment.config
    ingester = _ingester(database, config)
    done = []
    # First: what follows balances clients' own ledgers with these sums.
    added = mending.add_up(database, _found(database, quality_sums.agents_with_wrong_sums))
    if added:
        done.append(f"added the usage of {words(added, 'agent')} up anew")
    closed = _close(database, ingester, moment)
    if closed:
        done.append(f"closed {words(closed, 'conversation')}")
    settled = mending.settle(ingester, _found(database, quality.to_recount))
    if settled:
        done.append(f"looked at {words(settled, 'conversation')} anew")
    dropped = mending.drop_gone(database, config.host_id())
    if dropped:
        done.append(f"forgot {words(dropped, 'transcript')} whose file is gone; what was read of it stays")
    return done


def _found(database: Database, query: Callable[[Connection], T]) -> T:
    with database.read() as connection:
        take_time(connection)
        return query(connection)


def _close(database: Database, ingester: Ingester, moment: Moment) -> int:
    """Close silent conversations: on this host those without a process, on others those long silent."""
    ours = moment.config.host_id()
    with database.read() as connection:
        silent = quality.keys_of_never_closed(connection, moment.silent_since, moment.unseen_since)
    # Of another machine's processes nobody knows here.
    others = [(key, last) for host_id, key, last in silent if host_id != ours]
    closed = mending.close(ingester, others)
    if len(others) < len(silent):
        idle = timedelta(seconds=moment.config.tracking.abandon_after)
        closed += sum(upkeep.close_abandoned(database, ingester, ours, now=moment.now, idle=idle))
    for _ in upkeep.count_stored(ingester):
        pass
    return closed


def _ingester(database: Database, config: Config) -> Ingester:
    host = Host(config.host_id(), config.host_name())
    return Ingester(
        database,
        Owners(database, host, Registrar(database, host)),
        host,
        price=pricer(config.prices),
        started_in=lambda client, transcript, cwd: ADAPTERS[client].started_in(transcript, cwd),
    )
