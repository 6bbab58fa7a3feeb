"""A daemon's status as lines for people. It takes any JSON: a newer daemon's, an older one's, half of one."""

from sessionlib.cli.text import duration, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

_MOST = 10
"""Lines of one kind; what is left out is counted."""

_BRIEF = 10.0
"""Seconds below which tenths count."""

_LABEL = 11
_TO_SECONDS = len("2026-02-16T10:00:00")


def headline_of(tree: "Mapping[str, Any]") -> str:
    """Return whether the mirror is fresh, or why it is not, in one sentence."""
    reasons = [str(reason) for reason in _values(tree, "reasons")]
    reasons += [f"its part {part.get('name')} {_ailment(part)}" for part in unwell(tree) if not reasons]
    if tree.get("stale") is False and not reasons:
        return f"fresh: everything on disk {ago(tree.get('age_s'))} ago is mirrored"
    return f"STALE: {'; '.join(reasons) or 'sessiond does not say why'}"


def unwell(tree: "Mapping[str, Any]") -> "list[dict[str, Any]]":
    """Return the parts of the daemon that are stuck or have ended."""
    return [part for part in _trees(tree, "parts") if part.get("stuck") or part.get("alive") is False]


def moment(iso: object) -> str:
    """Return a time as JSON carries it in a shape for people, without the import of `datetime`."""
    text = str(iso)
    if len(text) > _TO_SECONDS and text.endswith(("Z", "+00:00")):
        return f"{text[:_TO_SECONDS].replace('T', ' ')} UTC"
    return text


def sheet(tree: "Mapping[str, Any]") -> list[str]:
    """Return the rest, a block for each thing that an operator looks for."""
    blocks = (
        _process,
        _database,
        _queue,
        _unreadable,
        _tracking,
        _roots,
        _workspaces,
        _owed,
        _parts,
        _config,
    )
    return [line for block in blocks for line in block(tree)]


def ago(seconds: object) -> str:
    """Return a number of seconds for people, tenths where they count."""
    if not _is_number(seconds):
        return "an unknown time"
    number = float(str(seconds))
    return f"{max(number, 0.0):.1f} s" if number < _BRIEF else duration(number)


def _process(tree: "Mapping[str, Any]") -> "Iterator[str]":
    if "pid" not in tree:
        return
    told = f"{tree.get('state')}, version {tree.get('version')}, process {tree['pid']}"
    yield _line("sessiond", f"{told}, since {moment(tree.get('started_at'))}")
    listen = tree.get("listen")
    yield _line("listens on", f"{tree.get('socket')}{f' and {listen}' if listen else ''}")


def _database(tree: "Mapping[str, Any]") -> "Iterator[str]":
    database = _tree(tree, "database")
    if not database:
        return
    if database.get("up"):
        yield _line("database", f"up: {database.get('name')}")
    else:
        down = f"DOWN for {ago(database.get('down_s'))}"
        yield _line(
            "database", f"{down}: {database.get('name')}: {database.get('error') or 'no reason known'}"
        )


def _queue(tree: "Mapping[str, Any]") -> "Iterator[str]":
    queue = _tree(tree, "queue")
    if queue:
        now = [
            f"{queue[name]} {name}" for name in ("waiting", "running", "delayed", "owed") if queue.get(name)
        ]
        done = ", ".join(f"{queue.get(name)} {name}" for name in ("synced", "written", "failed", "retried"))
        yield _line("queue", f"{', '.join(now) or 'empty'}; since the start: {done}")
        oldest = tree.get("oldest_unsynced_s")
        yield _line("unsynced", "nothing" if oldest is None else f"the oldest change waits for {ago(oldest)}")
    if tree.get("overflows"):
        yield _line("lost", f"events were lost {tree['overflows']} times; a comparison followed each")
    if tree.get("log_lost"):
        why = f"; now, because {tree['log_error']}" if tree.get("log_error") else ""
        yield _line("log", f"{tree['log_lost']} lines could not be written{why}")
    if "changes" in tree:
        yield _line("feed", f"{tree['changes']} changes since the start, {tree.get('subscribers')} listening")


def _unreadable(tree: "Mapping[str, Any]") -> "Iterator[str]":
    if _count(tree, "unreadable"):
        held = words(_count(tree, "unreadable"), "session")
        yield _line("unreadable", f"{held}, the last good rows are kept (sessionctl query unreadable)")


def _tracking(tree: "Mapping[str, Any]") -> "Iterator[str]":
    tracking = _tree(tree, "tracking")
    if not tracking:
        return
    done = f"{words(_count(tracking, 'stored'), 'hook event')} and {words(_count(tracking, 'lines'), 'line')}"
    yield _line("agents", f"since the start {done} of transcripts stored")
    waits = f": {tracking['error']}" if tracking.get("error") else ""
    if _count(tracking, "spooled") or waits:
        yield _line("", f"{words(_count(tracking, 'spooled'), 'hook event')} waiting{waits}")
    if _count(tracking, "dropped"):
        yield _line("", f"{words(_count(tracking, 'dropped'), 'hook event')} lost: the spool was full")
    if _count(tracking, "buried"):
        yield _line("", f"{words(_count(tracking, 'buried'), 'hook event')} could not be used, and put aside")
    if _count(tracking, "dead"):
        lie = words(_count(tracking, "dead"), "hook event")
        yield _line("", f"{lie} put aside in the spool's folder dead (sessionctl quality)")
    if _count(tracking, "unlinked"):
        active = words(_count(tracking, "unlinked"), "active conversation")
        yield _line("", f"{active} on no known session (sessionctl query unlinked-conversations)")


def _roots(tree: "Mapping[str, Any]") -> "Iterator[str]":
    roots = _trees(tree, "roots")
    if not roots:
        return
    yield _line("watching", words(len(roots), "folder"))
    for root in _first(roots):
        why = f", because {root['reason']}" if root.get("reason") else ""
        degraded = ", degraded" if root.get("degraded") else ""
        unwatched = _count(root, "folders") > _count(root, "watches")
        of = f" of {root['folders']}" if unwatched else ""
        held = f"{root.get('watches')}{of} watches"
        places = f"{words(_count(root, 'sessions_roots'), 'sessions folder')}, {held}"
        yield f"  {root.get('path')}  by {root.get('mode')}{degraded}{why} ({places})"
    yield from _rest(roots)


def _workspaces(tree: "Mapping[str, Any]") -> "Iterator[str]":
    found = sorted(_trees(tree, "workspaces"), key=_age, reverse=True)
    if not found:
        return
    yield _line("compared", f"{words(len(found), 'sessions folder')}, the longest ago first")
    for place in _first(found):
        gone = ", MISSING" if place.get("missing") else ""
        partial = ", incomplete" if place.get("complete") is False else ""
        inside = f"{words(_count(place, 'sessions'), 'session')}{gone}{partial}"
        name = place.get("project") or "?"
        yield f"  {ago(place.get('age_s'))} ago  {name}  {place.get('path')} ({inside})"
    yield from _rest(found)


def _owed(tree: "Mapping[str, Any]") -> "Iterator[str]":
    owed = _trees(tree, "owed")
    if not owed:
        return
    yield _line("owed", f"{words(len(owed), 'session folder')} could not be mirrored")
    for folder in _first(owed):
        yield f"  {folder.get('path')}: {folder.get('error')}"
    yield from _rest(owed)


def _parts(tree: "Mapping[str, Any]") -> "Iterator[str]":
    parts = _trees(tree, "parts")
    bad = unwell(tree)
    if parts and not bad:
        yield _line("parts", "all move")
    for part in bad:
        doing = f" at {part['doing']}" if part.get("doing") else ""
        last = f", no progress for {ago(part['idle_s'])}" if part.get("idle_s") is not None else ""
        yield _line("part", f"{part.get('name')} {_ailment(part)}{doing}{last}")


def _ailment(part: "Mapping[str, Any]") -> str:
    return "is STUCK" if part.get("stuck") else "has ended"


def _config(tree: "Mapping[str, Any]") -> "Iterator[str]":
    config = _tree(tree, "config")
    if not config:
        return
    reloaded = f", reloaded {moment(config['reloaded_at'])}" if config.get("reloaded_at") else ""
    yield _line("settings", f"{config.get('source')}{reloaded}")
    if config.get("reload_error"):
        yield _line(
            "", f"the last reload failed, the settings before it are in force: {config['reload_error']}"
        )
    if _values(config, "needs_restart"):
        yield _line(
            "", f"changed, and in force after a restart: {', '.join(map(str, config['needs_restart']))}"
        )


def _line(label: str, text: str) -> str:
    return f"{label:<{_LABEL}}{text}"


def _first(found: "list[dict[str, Any]]") -> "list[dict[str, Any]]":
    return found[:_MOST]


def _rest(found: "list[dict[str, Any]]") -> "Iterator[str]":
    if len(found) > _MOST:
        yield f"  and {len(found) - _MOST} more (--json shows all)"


def _age(place: "Mapping[str, Any]") -> float:
    age = place.get("age_s")
    return float(str(age)) if _is_number(age) else float("inf")


def _count(tree: "Mapping[str, Any]", name: str) -> int:
    count = tree.get(name)
    return count if isinstance(count, int) else 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _tree(tree: "Mapping[str, Any]", name: str) -> "dict[str, Any]":
    found = tree.get(name)
    return found if isinstance(found, dict) else {}


def _values(tree: "Mapping[str, Any]", name: str) -> "list[Any]":
    found = tree.get(name)
    return found if isinstance(found, list) else []


def _trees(tree: "Mapping[str, Any]", name: str) -> "list[dict[str, Any]]":
    return [entry for entry in _values(tree, name) if isinstance(entry, dict)]
