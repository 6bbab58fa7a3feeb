"""Whether the daemon and its database are well, and whether what hooks leave is taken from the spool."""

from collections.abc import Iterator

from sessionlib.cli import statusing
from sessionlib.cli.checks import clock, quality
from sessionlib.cli.checks.finding import BAD, INFO, OK, WARN, Finding
from sessionlib.cli.checks.patient import Patient
from sessionlib.cli.checks.space import in_words
from sessionlib.cli.text import duration, words
from sessionlib.db.queries.defects import MOST
from sessionlib.errors import SessionlibError, advice
from sessionlib.journal.spool import FULL_MARK
from sessionlib.models.base import utc_now

_PATIENCE = 60.0
"""Seconds that a delivery may wait while a daemon runs."""


def daemon(patient: Patient) -> Iterator[Finding]:
    """Look whether a daemon runs, and how fresh the mirror is."""
    report = patient.daemon
    facts = {name: report.tree.get(name) for name in ("stale", "reasons", "as_of", "age_s")}
    if report.code == statusing.FRESH:
        yield Finding("daemon", OK, report.headline, facts=facts)
    else:
        step = report.hint or "sessionctl status tells more"
        yield Finding("daemon", BAD, report.headline, step, facts=facts)


def database(patient: Patient) -> Iterator[Finding]:
    """Look whether the database answers and has the schema that this program needs."""
    from sessionlib.db import measures, schema

    try:
        with patient.context.current_database() as opened:
            yield Finding("database", OK, f"{opened.name} answers, its schema is current ({schema.HEAD})")
            with opened.read() as connection:
                size = measures.size_of(connection)
                yield Finding("database-size", OK, f"{in_words(size)} in {opened.name}", number=size)
                yield from clock.look(connection, patient.config.host_id())
    except SessionlibError as error:
        yield Finding("database", BAD, error.message, advice(error) or "sessionctl db check tells more")


def spool(patient: Patient) -> Iterator[Finding]:
    """Look at what waits, and at what was lost or put aside."""
    box = patient.spool
    try:
        waiting, size = box.waiting()
        oldest = box.oldest()
        dead = box.buried()
        buried = len(dead)
    except OSError as error:
        yield Finding("spool", BAD, f"cannot read {box.folder}: {error.strerror}", "give yourself its folder")
        return
    if oldest is None:
        yield Finding("spool", OK, f"nothing waits in {box.folder}")
    else:
        age = (utc_now() - oldest).total_seconds()
        is_stuck = patient.has_daemon and age > _PATIENCE
        says = f"{words(waiting, 'delivery', 'deliveries')} ({size} bytes), the oldest for {duration(age)}"
        step = "sessionctl status tells " + ("why" if is_stuck else "when it is empty")
        if not patient.has_daemon:
            step = "start sessiond, which reads them"
        yield Finding("spool", BAD if is_stuck else INFO, says, step, waiting)
    if (box.folder / FULL_MARK).exists():
        yield Finding("spool-full", BAD, "the spool is full: what hooks say is cut", "start sessiond")
    if dropped := box.dropped():
        says = f"{words(dropped, 'delivery', 'deliveries')} lost because the spool was full"
        yield Finding("spool-dropped", WARN, says, "sessionctl doctor --fix takes note of it", dropped)
    if buried:
        says = f"{words(buried, 'delivery', 'deliveries')} put aside because they could not be used"
        examples = tuple(f"{name}: {quality.fault_of(box, name)}" for name in dead[-MOST:])
        yield Finding("spool-buried", WARN, says, quality.step_of_buried(box), buried, examples)
