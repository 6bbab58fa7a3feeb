"""Whether changes are heard: how each root is watched, the kernel's limits, and a canary for the watcher."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from sessionlib.cli.checks import resting
from sessionlib.cli.checks.finding import BAD, INFO, OK, WARN, Finding
from sessionlib.cli.checks.patient import Patient
from sessionlib.cli.checks.resting import FORCED, GONE
from sessionlib.control.status import RootState, Status
from sessionlib.errors import ControlError, advice

_LIMITS = Path("/proc/sys/fs/inotify")
_SENSIBLE = 524_288
_KEPT = "/etc/sysctl.d/60-sessiond.conf"
_ASKS = 3
_BY_EVENTS, _POLLING = "events", "polling"
_FULL, _NO_INSTANCE = os.strerror(28), "no inotify instance"


def look(patient: Patient) -> Iterator[Finding]:
    """Look at the roots and the watches of a daemon that answers, and let a canary sing.

    Without one, look at what it would have to watch, and at the limits that it would have.
    """
    status = patient.status
    if status is None:
        found = resting.roots(patient)
        yield from (resting.finding(root, *_advice(root)) for root in found)
        if not found:
            yield resting.nothing()
        yield from _limits(found, is_known=any(root.folders for root in found))
        return
    for root in status.roots:
        yield _root(root)
    if not status.roots:
        yield Finding("root", WARN, "no folder is watched", "name one: sessiond run ROOT, or watch.roots")
    yield from _watches(patient, status)
    yield from _limits(status.roots)
    yield _canary(patient)


def _root(root: RootState) -> Finding:
    kind = root.filesystem or "unknown file system"
    says = f"{root.path} ({kind}) by {root.mode}, {root.watches} watches for {root.folders} folders"
    facts = asdict(root)
    if root.mode == _BY_EVENTS:
        return Finding("root", OK, says, number=root.watches, facts=facts)
    level, step = _advice(root)
    reason = root.reason or "for an unknown reason"
    return Finding("root", level, f"{says}: {reason}", step, root.watches, facts=facts)


def _advice(root: RootState) -> tuple[str, str]:
    """Return how grave it is that a root is not watched by events, and what to do about it."""
    reason = root.reason or ""
    step = "nothing is lost by polling, it is slower; a local file system has events"
    level = INFO
    if reason == FORCED:
        step = "set watch.force_polling to false for events"
    elif GONE in reason:
        level, step = WARN, f"mount or make {root.path}, or take it out of watch.roots"
    elif _FULL in reason:
        level, step = WARN, _remedy("max_user_watches", root.folders)
    elif _NO_INSTANCE in reason:
        level, step = WARN, _remedy("max_user_instances", 0)
    elif "permission" in reason.lower():
        level, step = WARN, f"let the daemon's user read what lies below {root.path}"
    return level, step


def _watches(patient: Patient, status: Status) -> Iterator[Finding]:
    """Compare what the daemon believes to be watched with what the kernel says."""
    held = kernel_watches(status)
    for _ in range(_ASKS):
        if held is None or held == status.watches:
            break
        # Folders come and go between the two questions.
        try:
            status = patient.context.client().status()
        except ControlError:
            return
        held = kernel_watches(status)
    believed, folders = status.watches, sum(root.folders for root in status.roots)
    facts = {"watches": believed, "kernel": held, "folders": folders}
    if held is None:
        says = f"{believed} watches for {folders} folders, by what the daemon says; /proc does not show them"
        step = f"as its user: grep -c ^inotify /proc/{status.pid}/fdinfo/*"
        yield Finding("watches", INFO, says, step, believed, facts=facts)
    elif held == believed:
        says = f"the kernel holds {held} watches for {folders} folders"
        yield Finding("watches", OK, says, number=held, facts=facts)
    else:
        says = f"the daemon believes in {believed} watches, and the kernel holds {held}"
        yield Finding("watches", BAD, says, "sessionctl service restart", held, facts=facts)


def kernel_watches(status: Status) -> int | None:
    """Return how many watches a daemon's inotify instance holds by /proc; None where that cannot be read."""
    if status.watch_descriptor is None:
        return 0
    try:
        text = Path(f"/proc/{status.pid}/fdinfo/{status.watch_descriptor}").read_text(encoding="ascii")
    except OSError:
        return None
    return sum(line.startswith("inotify ") for line in text.splitlines())


def _limits(roots: Sequence[RootState], *, is_known: bool = True) -> Iterator[Finding]:
    limit = _limit("max_user_watches")
    if limit is None:
        return
    folders = sum(root.folders for root in roots if root.reason != FORCED)
    names = ("max_user_watches", "max_user_instances", "max_queued_events")
    facts = {name: _limit(name) for name in names} | {"folders": folders if is_known else None}
    wanted = f"{folders} folders want one" if is_known else "how many folders want one a daemon will tell"
    says = f"the kernel allows {limit} watches a user, and {wanted}"
    # Other programs of the user share the limit.
    if limit < 2 * folders:
        yield Finding("inotify-limits", WARN, says, _remedy("max_user_watches", folders), limit, facts=facts)
    elif not is_known and limit < _SENSIBLE:
        step = f"should it not be enough: {_remedy('max_user_watches', 0)}"
        yield Finding("inotify-limits", INFO, says, step, limit, facts=facts)
    else:
        yield Finding("inotify-limits", OK, says, number=limit, facts=facts)


def _remedy(name: str, folders: int) -> str:
    """Return the commands that raise a limit, now and after the next boot."""
    current = _limit(name) or 0
    if name == "max_user_watches":
        wanted = max(_SENSIBLE, 2 * current, 4 * folders)
        wanted = 1 << (wanted - 1).bit_length()
    else:
        wanted = max(1024, 2 * current)
    setting = f"fs.inotify.{name}={wanted}"
    return f"sudo sysctl {setting}; to keep it: echo {setting} | sudo tee -a {_KEPT}"


def _limit(name: str) -> int | None:
    try:
        return int((_LIMITS / name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _canary(patient: Patient) -> Finding:
    try:
        song = patient.context.client().canary()
    except ControlError as error:
        says = f"the watcher could not be tried: {error.message}"
        return Finding("watcher-canary", WARN, says, advice(error) or "sessionctl status")
    mode, after = song.get("mode"), song.get("after_s")
    where = "a file written in the state folder"
    if not song.get("arrived"):
        reason = f": {song['reason']}" if song.get("reason") else ""
        says = f"{where} was not heard of within {after} s{reason}"
        return Finding("watcher-canary", BAD, says, "sessionctl service restart", facts=song)
    taken = f"{where} was heard of after {float(after or 0) * 1000:.1f} ms, by {mode}"
    if mode == _BY_EVENTS:
        return Finding("watcher-canary", OK, taken, facts=song)
    is_meant = song.get("reason") == FORCED
    step = "set watch.force_polling to false for events" if is_meant else _step_of(str(song.get("reason")))
    return Finding(
        "watcher-canary", INFO if is_meant else WARN, f"{taken}: {song.get('reason')}", step, facts=song
    )


def _step_of(reason: str) -> str:
    if _NO_INSTANCE in reason:
        return _remedy("max_user_instances", 0)
    if _FULL in reason:
        return _remedy("max_user_watches", 0)
    return "put the state folder on a local file system"
