"""`sessionctl status`: ask the daemon, or read its last words; say how fresh the mirror is.

Few imports, see `entry`; the daemon's answer stays the plain JSON that it is.
"""

import json
import os
import sys
import time

from sessionlib import locations
from sessionlib.cli import endings
from sessionlib.cli.status_sheet import headline_of, moment, sheet, unwell
from sessionlib.cli.text import duration, is_unicode, json_text, visible
from sessionlib.control import finding
from sessionlib.control.protocol import ABSENT, SILENT, Unanswered, fetch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Options(Protocol):
        """What a call gave; paths as text or as `Path`."""

        config: object
        state_dir: object
        runtime_dir: object
        json: bool
        no_color: bool
        brief: bool
        wait: float | None


PATIENCE = 2.0
"""Seconds until a daemon that accepts the connection and says nothing is called hung."""

FRESH, STALE, NO_DAEMON = 0, 1, 3
_TICK = 0.1
_OK = 200
_COLORS = {FRESH: "32", STALE: "33", NO_DAEMON: "31"}


class Report:
    """What is known of the daemon.

    Attributes:
        tree: Its status, with `running`, `stale` and `reasons` as they are known here.
        code: The exit code: FRESH, STALE or NO_DAEMON.
        headline: One sentence.
        hint: What to do, if there is something to do.
        age: For people, how old the tree is when it is not the daemon's answer of this moment.
        answered: The tree is the daemon's answer of this moment.
    """

    __slots__ = ("age", "answered", "code", "headline", "hint", "tree")

    def __init__(
        self, tree: "dict[str, Any]", code: int, headline: str, hint: str = "", age: str = ""
    ) -> None:
        self.tree = tree
        self.code = code
        self.headline = headline
        self.hint = hint
        self.age = age
        self.answered = False


def run(options: "Options") -> int:
    """Print the status; return the exit code."""
    report = look(options)
    if options.wait:
        deadline = time.monotonic() + options.wait
        while report.code != FRESH and time.monotonic() < deadline:
            time.sleep(_TICK)
            report = look(options)
    try:
        _print(report, options)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise endings.unprintable(error) from error
    return report.code


def look(options: "Options") -> Report:
    """Ask once; blocks for at most `PATIENCE` seconds.

    Raises:
        ConfigError: The configuration that says where the daemon is cannot be read.
    """
    try:
        place = finding.find(_text(options.state_dir), _text(options.runtime_dir), _text(options.config))
    except finding.Unreadable as error:
        from sessionlib.control import faults

        raise faults.unreadable(error) from error
    try:
        status, body = fetch(place.socket, "GET", "/status", timeout=PATIENCE)
    except Unanswered as error:
        return _absent(place) if error.why == ABSENT else _mute(place, error)
    try:
        tree = json.loads(body)
    except (ValueError, RecursionError):
        tree = None
    if not isinstance(tree, dict):
        return _mute(place, Unanswered("", "its answer is no JSON object"))
    if status != _OK:
        return _mute(place, Unanswered("", str(tree.get("error") or f"HTTP {status}")))
    return _answered(tree)


def _text(path: object) -> str | None:
    return None if path is None else str(path)


def _answered(tree: "dict[str, Any]") -> Report:
    tree["running"] = True
    is_fresh = tree.get("stale") is False and not unwell(tree)
    report = Report(tree, FRESH if is_fresh else STALE, headline_of(tree))
    report.answered = True
    return report


def _mute(place: finding.Place, error: Unanswered) -> Report:
    """Report on a daemon that is there and gives no usable answer."""
    if error.why == SILENT:
        reason = f"sessiond does not answer within {PATIENCE:g} s on {place.socket}"
        hint = f"look into its log; `kill -USR2 {_pid_of(place)}` makes it write there what it is doing"
    else:
        reason = f"sessiond cannot be asked on {place.socket}: {error.detail or 'it speaks no HTTP'}"
        hint = "it speaks only with the user it runs as"
    tree = _last_words(place, reason, running=True)
    return Report(tree, STALE, f"STALE: {reason}", hint, _age_of(place.last))


def _pid_of(place: finding.Place) -> str:
    pid = (place.last or {}).get("pid")
    return str(pid) if isinstance(pid, int) else "PID"


def _absent(place: finding.Place) -> Report:
    """Report on a daemon that is not there, from the status file."""
    last = place.last
    tree = _last_words(place, "sessiond is not running", running=False)
    if last is None:
        seen = f"its last words in {place.status_file} cannot be read: {place.trouble}"
        if not place.trouble:
            seen = f"nothing listens on {place.socket}, and there is no {place.status_file}"
        return Report(tree, NO_DAEMON, f"not running; {seen}", finding.START_HINT)
    age = _age_of(last)
    when = f"{age} ago" if age else "at an unknown time"
    as_of = last.get("as_of")
    mirrored = (
        f"everything up to {moment(as_of)} is mirrored" if as_of else "it had not mirrored everything yet"
    )
    if last.get("state") == "stopped":
        return Report(tree, NO_DAEMON, f"not running; stopped {when}, {mirrored}", finding.START_HINT, age)
    state = last.get("state")
    if holder := _holder(place):
        told = f"not listening; process {holder} is there, and was {state} {when}; {mirrored}"
        return Report(tree, NO_DAEMON, told, "it is about to listen or to end; ask again in a moment", age)
    told = f"not running; it ended without a word, and was {state} {when}; {mirrored}"
    return Report(tree, NO_DAEMON, told, finding.START_HINT, age)


def _last_words(place: finding.Place, reason: str, *, running: bool) -> "dict[str, Any]":
    tree: dict[str, Any] = dict(place.last or {})
    return tree | {"running": running, "stale": True, "reasons": [reason]}


def _age_of(last: "dict[str, Any] | None") -> str:
    """Return for people how long ago a status was taken; empty where that cannot be told."""
    from datetime import UTC, datetime

    now = datetime.now(UTC)  # noqa: TID251 - utc_now() lies behind pydantic
    try:
        taken = datetime.fromisoformat(str((last or {}).get("at")))
        return duration((now - taken).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return ""


def _holder(place: finding.Place) -> str | None:
    """Return the id of the process that holds the daemon's lock; None when none does, or it cannot be told.

    The kernel frees the lock with its process, so neither a number that is used again nor a program of a like
    name is taken for a daemon. Looking disturbs nobody: a daemon that starts at this moment tries again.
    """
    import fcntl

    path = f"{os.path.dirname(place.status_file)}/{locations.LOCK_NAME}"  # noqa: PTH120 - without pathlib
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        # Its first line is the process id, for people.
        number = os.read(descriptor, 32).partition(b"\n")[0]
        return number.decode() if number.isdigit() else "of unknown number"
    except OSError:
        return None
    else:
        return None
    finally:
        os.close(descriptor)


def _print(report: Report, options: "Options") -> None:
    if options.json:
        answer = {
            "as_of": report.tree.get("as_of"),
            "stale": report.tree["stale"],
            "rows": [report.tree],
        }
        print(json_text(answer, ascii_only=not is_unicode(sys.stdout)))
    else:
        _print_sheet(report, options)
    sys.stdout.flush()
    if report.hint:
        try:
            print(f"hint: {visible(report.hint)}", file=sys.stderr)
        except OSError:
            return  # The answer has been given.


def _print_sheet(report: Report, options: "Options") -> None:
    headline = visible(report.headline)
    if sys.stdout.isatty() and not options.no_color and not os.environ.get("NO_COLOR"):
        headline = f"\x1b[{_COLORS[report.code]}m{headline}\x1b[0m"
    print(headline)
    if options.brief:
        return
    lines = sheet(report.tree)
    if lines and (report.code == NO_DAEMON or report.age):
        print(f"its last words, {report.age or 'nobody knows how'} old:")
    for line in lines:
        print(visible(line))
