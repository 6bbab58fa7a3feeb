"""Whether the clocks agree: this machine's, the database's, and the one that was in force before."""

from collections.abc import Iterator
from uuid import UUID

from sqlalchemy import Connection

from sessionlib.cli.checks.finding import OK, WARN, Finding
from sessionlib.cli.text import duration
from sessionlib.db import measures
from sessionlib.db.crud import hosts
from sessionlib.models.base import utc_now

MOST = 5.0
"""Seconds that two clocks may differ."""

_SET = "timedatectl: let both machines set their clocks by the network"


def look(connection: Connection, host_id: UUID) -> Iterator[Finding]:
    """Compare the database's clock, and this host's last heartbeat, with our clock."""
    before = utc_now()
    theirs = measures.now_of(connection)
    after = utc_now()
    ahead = 0.0
    if theirs is not None:
        # Half way between the question and its answer.
        ahead = (theirs - (before + (after - before) / 2)).total_seconds()
    facts = {"database_ahead_s": None if theirs is None else round(ahead, 3)}
    beat = hosts.last_beats(connection).get(host_id)
    early = 0.0 if beat is None else (beat - after).total_seconds()
    if abs(ahead) >= MOST:
        says = f"the database's clock is {duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} ours"
        yield Finding("clock", WARN, says, _SET, facts=facts)
    if early >= MOST:
        says = (
            f"the last sign of life in the database is {duration(early)} in the future: the clock went back"
        )
        yield Finding(
            "clock", WARN, says, "timedatectl; ages are wrong until that time has come", facts=facts
        )
    if abs(ahead) < MOST and early < MOST:
        yield Finding("clock", OK, "this machine's clock and the database's agree", facts=facts)
