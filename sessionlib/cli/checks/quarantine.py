"""What could not be used and was put aside: session files with their reasons, and conditions to decide on."""

from collections.abc import Iterator

from sessionlib.cli.checks.finding import OK, WARN, Finding
from sessionlib.cli.checks.patient import Patient
from sessionlib.cli.text import words
from sessionlib.db.crud import findings
from sessionlib.db.queries import health
from sessionlib.errors import SessionlibError

_MOST = 5


def look(patient: Patient) -> Iterator[Finding]:
    """Look at what the database tells of files whose last good row was kept."""
    try:
        with patient.context.current_database() as database, database.read() as connection:
            files = health.unreadable(connection)
            number = health.unreadable_sessions(connection)
            held = findings.listed(connection)
    except SessionlibError:
        return  # another check tells of it
    if files:
        examples = tuple(f"{one.path}: {one.error}" for one in files[:_MOST])
        says = f"{words(number, 'session')} with a file that cannot be read; the last good rows are kept"
        step = "mend the files named above; all of them: sessionctl query unreadable"
        facts = [{"path": one.path, "error": one.error} for one in files]
        yield Finding("quarantine", WARN, says, step, number, examples, facts)
    else:
        yield Finding("quarantine", OK, "every session file can be read", number=0, facts=[])
    if held:
        examples = tuple(f"{one.kind}: {one.message}" for one in held[:_MOST])
        says = f"{words(len(held), 'condition')} wait for a decision"
        yield Finding("held-back", WARN, says, "sessionctl query findings", len(held), examples)
