"""A status as lines for people: what an operator looks for, from whatever JSON comes."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionlib.cli.status_sheet import ago, headline_of, moment, sheet, unwell
from sessionlib.control.status import (
    DatabaseState,
    OwedFolder,
    PartState,
    RootState,
    Status,
    TrackingState,
    WorkspaceState,
)
from tests.statuses import a_status

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def tree(**changes: Any) -> dict[str, Any]:
    """Return a status as it arrives."""
    decoded: dict[str, Any] = json.loads(json.dumps(a_status(**changes).to_json()))
    return decoded


def line(lines: list[str], label: str) -> str:
    """Return what stands behind a label."""
    (found,) = [one for one in lines if one.startswith(f"{label} ")]
    return found.removeprefix(label).strip()


def test_a_fresh_mirror_is_said_so() -> None:
    """The age is told to the tenth where tenths count."""
    assert headline_of(tree(age_s=0.04)) == "fresh: everything on disk 0.0 s ago is mirrored"
    assert headline_of(tree(age_s=75.0)) == "fresh: everything on disk 1 min ago is mirrored"


def test_a_stale_mirror_says_why() -> None:
    """All reasons, in the daemon's order; without one that is said."""
    assert headline_of(tree(stale=True, reasons=("a is down", "b waits"))) == "STALE: a is down; b waits"
    assert headline_of(tree(stale=True)) == "STALE: sessiond does not say why"
    assert headline_of({}) == "STALE: sessiond does not say why"


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (PartState(name="feed", alive=True, stuck=True, idle_s=130.0, doing="a change"), "is STUCK"),
        (PartState(name="feed", alive=False, stuck=False, idle_s=None), "has ended"),
    ],
)
def test_a_part_that_is_unwell_is_never_fresh(part: PartState, said: str) -> None:
    """Even if the daemon itself has not drawn the conclusion."""
    sick = tree(parts=(PartState(name="queue", alive=True, stuck=False, idle_s=1.0), part))
    assert [one["name"] for one in unwell(sick)] == ["feed"]
    assert headline_of(sick) == f"STALE: its part feed {said}"
    assert line(sheet(sick), "part").startswith(f"feed {said}")


def test_all_that_an_operator_looks_for_is_there() -> None:
    """Every value of a status shows up in its own place."""
    lines = sheet(tree(listen="127.0.0.1:7717", oldest_unsynced_s=0.42))
    assert line(lines, "sessiond") == "ready, version 1.2.3, process 4711, since 2026-02-16 08:00:00 UTC"
    assert line(lines, "listens on") == "/run/user/1000/sessiond/control.sock and 127.0.0.1:7717"
    assert line(lines, "database") == "up: sqlite:////s/mirror.db"
    assert line(lines, "queue") == (
        "5 waiting, 1 running, 6 delayed, 7 owed; since the start: "
        "900 synced, 300 written, 10 failed, 11 retried"
    )
    assert line(lines, "unsynced") == "the oldest change waits for 0.4 s"
    assert line(lines, "lost") == "events were lost 2 times; a comparison followed each"
    assert line(lines, "log") == "4 lines could not be written"
    assert line(lines, "unreadable") == (
        "13 sessions, the last good rows are kept (sessionctl query unreadable)"
    )
    assert line(lines, "feed") == "44 changes since the start, 3 listening"
    assert "  /p  by events (2 sessions folders, 12 watches)" in lines
    assert "  30 s ago  shop  /p/agents/sessions (13 sessions)" in lines
    assert "  /p/agents/sessions/broken: permission denied" in lines
    assert line(lines, "parts") == "all move"
    assert line(lines, "settings") == "/c/config.toml, reloaded 2026-02-16 08:30:00 UTC"


def test_troubles_are_told_with_their_reasons() -> None:
    """A database that is down, a root that is polled, a failed reload, what needs a restart."""
    config = a_status().config
    changed = type(config)(source="/c", reload_error="bad key", needs_restart=("daemon.state_dir", "x"))
    lines = sheet(
        tree(
            database=DatabaseState(
                name="postgresql://h/d", backend="postgresql", up=False, error="refused", down_s=75.0
            ),
            roots=(
                RootState(
                    path="/n",
                    mode="polling",
                    reason="a network file system",
                    watches=0,
                    sessions_roots=1,
                    degraded=True,
                ),
            ),
            config=changed,
        )
    )
    assert line(lines, "database") == "DOWN for 1 min: postgresql://h/d: refused"
    assert "  /n  by polling, degraded, because a network file system (1 sessions folder, 0 watches)" in lines
    assert "           the last reload failed, the settings before it are in force: bad key" in lines
    assert "           changed, and in force after a restart: daemon.state_dir, x" in lines


def test_what_was_put_aside_is_told_while_it_lies_there() -> None:
    """And unreadable files only where there are some."""
    tracking = TrackingState(spooled=0, dropped=0, stored=9, buried=0, lines=0, dead=2)
    lines = sheet(tree(tracking=tracking, unreadable=0))
    told = "           2 hook events put aside in the spool's folder dead (sessionctl quality)"
    assert told in lines
    assert not [one for one in lines if one.startswith("unreadable") or "used, and put aside" in one]
    assert told not in sheet(tree(tracking=dataclasses.replace(tracking, dead=0)))


def test_workspaces_come_longest_ago_first_and_ten_at_most() -> None:
    """Those that were not compared for long are the ones to look at; the rest is counted."""
    places = tuple(
        WorkspaceState(
            project=None if number == 3 else f"p{number}",
            path=f"/w{number}",
            reconciled_at="2026-02-16T08:59:30Z",
            age_s=float(number),
            sessions=1,
            missing=number == 11,
            complete=number != 10,
        )
        for number in range(12)
    )
    lines = sheet(tree(workspaces=places))
    start = lines.index("compared   12 sessions folders, the longest ago first")
    assert lines[start + 1 : start + 4] == [
        "  11 s ago  p11  /w11 (1 session, MISSING)",
        "  10 s ago  p10  /w10 (1 session, incomplete)",
        "  9.0 s ago  p9  /w9 (1 session)",
    ]
    assert "  3.0 s ago  ?  /w3 (1 session)" in lines
    assert lines[start + 11] == "  and 2 more (--json shows all)"


def test_owed_folders_are_bounded() -> None:
    """Ten thousand broken files do not fill the screen."""
    lines = sheet(tree(owed=tuple(OwedFolder(path=f"/{number}", error="no") for number in range(10_000))))
    assert "owed       10000 session folders could not be mirrored" in lines
    assert len(lines) < 40


@given(st.dictionaries(st.sampled_from(sorted(Status.__dataclass_fields__)), JSON))
def test_any_json_can_be_shown(half: dict[str, Any]) -> None:
    """Half a status, another version's, or nonsense makes lines, never a crash."""
    assert headline_of(half)
    assert all(isinstance(one, str) for one in sheet(half))
    assert all(isinstance(one, str) for one in sheet(tree() | half))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"),
        (-3, "0.0 s"),
        (9.96, "10.0 s"),
        (12.4, "12 s"),
        (None, "an unknown time"),
        (True, "an unknown time"),
    ],
)
def test_ages_are_for_people(seconds: object, shown: str) -> None:
    """Tenths below ten seconds, whole units above."""
    assert ago(seconds) == shown


@pytest.mark.parametrize(
    ("iso", "shown"),
    [
        ("2026-02-16T08:00:00.123456Z", "2026-02-16 08:00:00 UTC"),
        ("2026-02-16T08:00:00+00:00", "2026-02-16 08:00:00 UTC"),
        ("2026-02-16T08:00:00+02:00", "2026-02-16T08:00:00+02:00"),
        ("Z", "Z"),
        (None, "None"),
    ],
)
def test_moments_lose_what_nobody_reads(iso: object, shown: str) -> None:
    """UTC to the second; another zone or no time is left as it is."""
    assert moment(iso) == shown
