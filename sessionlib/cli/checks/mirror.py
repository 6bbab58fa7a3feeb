"""How the mirror gets on, by the daemon's own status: what waits, what is owed, what was lost, who moves.

Nothing is counted here: every number is the one that `sessionctl status` and `/metrics` tell.
"""

from collections.abc import Iterator
from dataclasses import asdict

from sessionlib.cli.checks.finding import BAD, OK, WARN, Finding
from sessionlib.cli.checks.patient import Patient
from sessionlib.cli.text import duration, words
from sessionlib.control.status import PartState, Status, WorkspaceState

_MOST = 5
_ROUNDS = 4
"""So many intervals between two comparisons are too many: each comes after one, give or take a quarter."""

_MENDS = "sessionctl rescan"
_LOGS = "sessionctl service logs, or the daemon's log, tells why"


def look(patient: Patient) -> Iterator[Finding]:
    """Look at the snapshot; nothing without a daemon that answers, of which another check tells."""
    status = patient.status
    if status is None:
        return
    yield _unsynced(status, patient.config.daemon.stale_after)
    yield _queue(status)
    yield _events(status)
    yield _compared(status, _ROUNDS * patient.config.watch.reconcile_interval)
    yield _database(status)
    yield _parts(status)
    yield from _rest(status)


def _unsynced(status: Status, most: float) -> Finding:
    oldest = status.oldest_unsynced_s
    facts = {"oldest_unsynced_s": oldest}
    if oldest is None:
        return Finding("unsynced", OK, "no change waits to be mirrored", facts=facts)
    says = f"the oldest change has been waiting for {duration(oldest)}"
    if oldest > most:
        return Finding(
            "unsynced", BAD, says, "sessionctl status names what is owed, and the reason", facts=facts
        )
    return Finding("unsynced", OK, says, facts=facts)


def _queue(status: Status) -> Finding:
    queue, facts = status.queue, asdict(status.queue)
    waiting = f"{words(queue.waiting, 'folder')} waiting, {queue.retried} retried since the start"
    if not queue.owed:
        return Finding("queue", OK, f"{waiting}; none is owed", number=0, facts=facts)
    examples = tuple(f"{one.path}: {one.error}" for one in status.owed[:_MOST])
    says = f"{words(queue.owed, 'folder')} cannot be mirrored; {waiting}"
    step = f"mend what the line above names, then: {_MENDS}"
    # What cannot be read is the user's to mend; what can be read and is not mirrored is ours.
    return Finding("queue", BAD if queue.behind else WARN, says, step, queue.owed, examples, facts)


def _events(status: Status) -> Finding:
    degraded = [root.path for root in status.roots if root.degraded]
    facts = {"overflows": status.overflows, "degraded": degraded}
    if degraded:
        says = f"events were lost, and not everything has been compared since: {', '.join(degraded)}"
        return Finding("events", WARN, says, _MENDS, status.overflows, facts=facts)
    if status.overflows:
        says = (
            f"events were lost {words(status.overflows, 'time')} since the start; a comparison followed each"
        )
        step = "if it goes on: sudo sysctl fs.inotify.max_queued_events=65536"
        return Finding("events", WARN, says, step, status.overflows, facts=facts)
    return Finding("events", OK, "no event was lost since the start", number=0, facts=facts)


def _compared(status: Status, most: float) -> Finding:
    facts = [asdict(place) for place in status.workspaces]
    late = [place for place in status.workspaces if place.age_s > most]
    odd = [place for place in status.workspaces if place.missing or not place.complete]
    count = words(len(facts), "sessions folder")
    if late or odd:
        examples = tuple(map(_told, [*late, *odd][:_MOST]))
        says = f"{len(late)} of {count} not compared for long, {len(odd)} missing or unlisted"
        step = f"give the daemon's user access to them, then: {_MENDS}"
        return Finding("compared", BAD if late else WARN, says, step, len(facts), examples, facts)
    oldest = max((place.age_s for place in status.workspaces), default=0.0)
    says = f"{count} compared with the database, the longest ago {duration(oldest)}"
    return Finding("compared", OK, says, number=len(facts), facts=facts)


def _told(place: WorkspaceState) -> str:
    state = "missing" if place.missing else "compared" if place.complete else "could not be listed"
    return f"{place.path}: {state} {duration(place.age_s)} ago"


def _database(status: Status) -> Finding:
    database, facts = status.database, asdict(status.database)
    if database.up:
        return Finding("daemon-database", OK, f"the daemon reaches {database.name}", facts=facts)
    since = "" if database.down_s is None else f" for {duration(database.down_s)}"
    says = f"the daemon has not reached {database.name}{since}: {database.error}"
    step = "start the database, or mend database.url and run: sessionctl reload"
    return Finding("daemon-database", BAD, says, step, facts=facts)


def _parts(status: Status) -> Finding:
    facts = [asdict(part) for part in status.parts]
    bad = [part for part in status.parts if part.stuck or not part.alive]
    examples = tuple(map(_progress, bad or status.parts))
    if bad:
        says = f"{words(len(bad), 'part')} of the daemon moved no more"
        return Finding("parts", BAD, says, "sessionctl service restart", len(bad), examples, facts)
    return Finding("parts", OK, "every part of the daemon moves", number=0, examples=examples, facts=facts)


def _progress(part: PartState) -> str:
    last = "nothing yet" if part.idle_s is None else f"last progress {duration(part.idle_s)} ago"
    ails = ", has ended" if not part.alive else ", stuck" if part.stuck else ""
    return f"{part.name}: {last}{f' at {part.doing}' if part.doing else ''}{ails}"


def _rest(status: Status) -> Iterator[Finding]:
    if status.log_error:
        says = f"{words(status.log_lost, 'log line')} could not be written: {status.log_error}"
        yield Finding("log", BAD, says, "make room, or mend log.file", status.log_lost)
    if status.config.reload_error:
        says = f"the last reload failed, the settings before it are in force: {status.config.reload_error}"
        yield Finding("reload", WARN, says, "mend the configuration, then: sessionctl reload")
    if status.config.needs_restart:
        says = f"changed, and not in force: {', '.join(status.config.needs_restart)}"
        yield Finding("reload", WARN, says, "sessionctl service restart")
    if status.tracking is not None and status.tracking.error:
        yield Finding("tracking", BAD, f"nothing of agents is stored: {status.tracking.error}", _LOGS)
