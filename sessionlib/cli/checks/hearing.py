"""When each hook event was heard last, and which should have been heard and were not."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sessionlib.cli.checks import registration
from sessionlib.cli.checks.finding import BAD, INFO, WARN, Finding
from sessionlib.cli.checks.patient import Patient
from sessionlib.cli.text import duration
from sessionlib.db.queries import heard
from sessionlib.errors import SessionlibError
from sessionlib.models.base import utc_now

_LATELY = timedelta(days=7)
_MORE = "sessionctl conversations tells of what they said"

_TOLD_BY = {
    "worked": ("SessionStart", "UserPromptSubmit", "Stop"),
    "called": ("PreToolUse", "PostToolUse"),
    "failed": ("PostToolUseFailure",),
    "spawned": ("SubagentStart", "SubagentStop"),
}
"""Which events tell of what agents do."""


def look(patient: Patient) -> Iterator[Finding]:
    """Compare what was heard on this machine with what was done."""
    sources = [one for one in registration.sources(patient) if not isinstance(one, Finding)]
    registered = {one.event for source in sources for one in source.handlers}
    if not registered:
        return
    now = utc_now()
    # What was done before the hooks were registered nobody could tell.
    changed = [_changed_at(source.path) for source in sources if source.handlers]
    since = max(now - _LATELY, min(changed))
    host_id = patient.config.host_id()
    try:
        with patient.context.current_database() as database, database.read() as connection:
            last = heard.last_heard(connection, host_id, now - _LATELY)
            done = heard.activity(connection, host_id, since)
    except SessionlibError:
        return  # another check tells of it
    if last:
        newest = sorted(last.items(), key=lambda one: one[1], reverse=True)
        told = tuple(f"{name}: {duration((now - at).total_seconds())} ago" for name, at in newest)
        yield Finding("hooks-heard", INFO, f"{len(last)} kinds of events in a week", _MORE, len(last), told)
    elif "worked" in done:
        says = "no hook has told anything since it was registered, although agents have worked"
        yield Finding("hooks-heard", BAD, says, "sessionctl hooks status; start the client anew")
        return
    missed = [
        name for what in sorted(done) for name in _TOLD_BY[what] if name in registered and name not in last
    ]
    if missed:
        says = f"registered and never heard, although there was something to tell: {', '.join(missed)}"
        yield Finding("hooks-never", WARN, says, "sessionctl hooks install", len(missed))


def _changed_at(path: Path) -> datetime:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return utc_now()
