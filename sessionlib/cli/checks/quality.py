"""The checks of `sessionctl quality`: over the rows, and over what never became rows."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from sessionlib.cli.checks.finding import BAD, INFO, OK, WARN, Finding
from sessionlib.config import Config
from sessionlib.db import execution, queries
from sessionlib.db.queries import quality, quality_sums
from sessionlib.db.queries.defects import MOST, Defect
from sessionlib.journal.adapter import BadPayloadError
from sessionlib.journal.adapters import ADAPTERS
from sessionlib.journal.spool import DEAD, BadDeliveryError, Spool
from sessionlib.sync.ingest import drift

_LATELY = timedelta(days=7)
_GRACE = timedelta(days=1)
"""On top of the time after which a daemon closes a silent conversation."""
_UNSEEN = timedelta(hours=1)
"""Without a heartbeat for so long no daemon looks after a host."""
_ENDS_AT = 1000

_FIX = "sessionctl quality --fix"
_WRITERS = "find out what else writes into this database; a backup, or those rows deleted by hand, mends it"


class Moment(NamedTuple):
    """When the checks look, and what they compare with."""

    now: datetime
    config: Config

    @property
    def silent_since(self) -> datetime:
        """A conversation that was silent since then should have been closed."""
        return self.now - timedelta(seconds=self.config.tracking.abandon_after) - _GRACE

    @property
    def unseen_since(self) -> datetime:
        """A host without a heartbeat since then has no daemon."""
        return self.now - _UNSEEN


class Check(NamedTuple):
    """One check.

    Attributes:
        name: It is called this in scripts.
        says: What it counts, behind the number.
        next: What to do about it.
        counts: Does so.
        level: How grave it is to find some.
    """

    name: str
    says: str
    next: str
    counts: Callable[[Connection, Moment], Defect]
    level: str = BAD


def look(connection: Connection, moment: Moment) -> Iterator[Finding]:
    """Yield what every check has found, also of those that found nothing.

    Raises:
        DatabaseError: The database does not answer.
    """
    for check in _CHECKS:
        defect = check.counts(connection, moment)
        yield _finding(check.name, check.says, check.next, defect, check.level)
    defect, total = quality.assumed_parents(connection)
    says = f"of {total} agents with a meta file have a parent that is only assumed"
    yield _finding("assumed-parents", says, "", defect, INFO)
    yield from _of_spool(Spool(moment.config.locations.spool))


def _finding(name: str, says: str, step: str, defect: Defect, level: str = BAD) -> Finding:
    if not defect.number:
        return Finding(name, OK, f"0 {says}", number=0)
    return Finding(name, level, f"{defect.number} {says}", step, defect.number, defect.examples)


def _unpriced(connection: Connection, _moment: Moment) -> Defect:
    found = queries.unpriced(connection, limit=_ENDS_AT)
    examples = tuple(f"{one.model}: {one.unpriced}" for one in found[:MOST])
    return Defect(sum(one.unpriced for one in found), examples)


def _silent_hooks(connection: Connection, moment: Moment) -> Defect:
    if not moment.config.tracking.hooks:
        return Defect()
    return quality_sums.silent_hooks(connection, moment.now - _LATELY)


def _of_spool(spool: Spool) -> Iterator[Finding]:
    names = spool.buried()
    examples = tuple(f"{name}: {fault_of(spool, name)}" for name in names[-MOST:])
    yield _finding(
        "buried-deliveries",
        "deliveries of hooks could not be used, and were put aside",
        step_of_buried(spool),
        Defect(len(names), examples),
        WARN,
    )
    yield _finding(
        "dropped-deliveries",
        "deliveries of hooks were lost because the spool was full",
        f"start sessiond; once that is known, delete {spool.folder / 'dropped'}",
        Defect(spool.dropped()),
    )


def step_of_buried(spool: Spool) -> str:
    """Return what to do about deliveries that were put aside: nothing is kept from working by them."""
    return f"look at those files, and delete what you do not need: {spool.folder / DEAD}"


def fault_of(spool: Spool, name: str) -> str:
    """Return why a delivery could not be used, as far as that can be seen now."""
    try:
        delivery = spool.read(name, buried=True)
        adapter = ADAPTERS.get(delivery.client)
        if adapter is None:
            return f"there is no client {delivery.client!r}"
        adapter.delivered(delivery)
    except (BadDeliveryError, BadPayloadError) as error:
        return str(error)
    except OSError as error:
        return error.strerror or "it cannot be read"
    return "the database refused it"


_CHECKS = (
    Check(
        "orphans",
        "rows without the row that they belong to",
        "sessionctl verify names those of the mirror, and what mends them; " + _WRITERS,
        lambda c, _: quality.orphans(c),
    ),
    Check(
        "placeholders",
        "rows that hold nothing where there always is something",
        "look at those rows: what should have told it was not read, or did not tell it",
        lambda c, _: quality.placeholders(c),
    ),
    Check(
        "alike-names",
        "names that differ by their case alone",
        "sessionctl projects merge SOURCE INTO, or sessionctl identity archive NAME",
        lambda c, _: quality.alike_names(c),
    ),
    Check(
        "never-closed",
        "active conversations that were silent for long, on hosts without a daemon",
        _FIX,
        lambda c, moment: quality.never_closed(c, moment.silent_since, moment.unseen_since),
    ),
    Check(
        "running-agents",
        "agents that still run in conversations that are over",
        _FIX,
        lambda c, _: quality.running_after_the_end(c),
    ),
    Check(
        "open-calls",
        "tool calls without an outcome in conversations that ended in good order",
        "sessionctl doctor: what PostToolUse and PostToolBatch say does not arrive",
        lambda c, _: quality.open_after_the_end(c),
    ),
    Check(
        "constant-columns",
        "columns of large tables that hold one single value",
        "see that what should fill them is registered: sessionctl doctor",
        lambda c, _: quality_sums.constant_columns(c),
    ),
    Check(
        "unpriced",
        "responses of models without a known price",
        "give the models a price under [prices] in the configuration, then run: " + _FIX,
        _unpriced,
    ),
    Check(
        "wrong-sums",
        "agents whose totals are not the sums of their responses",
        _FIX,
        lambda c, _: quality_sums.wrong_sums(c),
    ),
    Check(
        "repeated-events",
        "events of hooks that are stored twice",
        "see that the hooks are registered once, by the user or by the project: sessionctl doctor",
        lambda c, moment: quality.repeated_events(c, moment.now - _LATELY),
    ),
    Check(
        "unlinked",
        "active conversations that work on no session that is known",
        "sessionctl conversations --unlinked",
        lambda c, _: Defect(execution.unlinked(c)),
        INFO,
    ),
    Check(
        "journals",
        "transcripts of which something could not be read",
        "look at those files; if they are gone, run: " + _FIX,
        lambda c, _: quality.journals_with_problems(c),
    ),
    Check(
        "silent-hooks",
        "hosts on which agents have worked for a week without a word from any hook",
        "sessionctl doctor there, or sessionctl hooks install",
        _silent_hooks,
    ),
    Check(
        "contract-drift",
        "fields that a client has left out lately",
        "look for a newer sessiond; until then what depends on those fields is missing",
        lambda c, moment: quality.drifted(c, drift.KIND, moment.now - _LATELY),
    ),
)
