"""What notifications say: targets of rescans, and announced changes."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.feed import Change
from sessiond.payloads import pack, read_target, unpack
from sessiond.targets import Target
from sessionlib.db.channel import PAYLOAD_MOST

NOBODY = "00000000-0000-0000-0000-000000000000"
HERE = ("11111111-1111-1111-1111-111111111111", "anvil")


def change(seq: int = 1, **more: Any) -> Change:
    """Return a change of a made-up session."""
    fields: dict[str, Any] = {
        "kind": "changed",
        "at": "2026-01-05T09:00:00.000Z",
        "project": "garden",
        "project_id": NOBODY,
        "session_id": NOBODY,
        "root": "agents/sessions",
        "slug": "wall",
        "seq": seq,
        "phase": "build",
        "status": "active",
        "host_id": NOBODY,
    }
    return Change(**(fields | more))


@pytest.mark.parametrize(
    ("payload", "target"),
    [
        ("", Target()),
        ("  ", Target()),
        ("*", Target()),
        ("/srv/garden", Target(path=Path("/srv/garden"))),
        (" /srv/two words ", Target(path=Path("/srv/two words"))),
        ("garden", Target(project="garden")),
        (NOBODY, Target(project=NOBODY)),
        ('{"path": "/srv/garden"}', Target(path=Path("/srv/garden"))),
        ('{"project": "garden"}', Target(project="garden")),
        ('{"project": "garden", "host": "anvil", "more": 1}', Target(project="garden")),
        ('{"host": "11111111-1111-1111-1111-111111111111"}', Target()),
        ('{"path": "/srv/garden", "host": "bench"}', None),
        ('{"host": "bench"}', None),
    ],
)
def test_targets(payload: str, target: Target | None) -> None:
    """Everything, a path, a project, or an object with one of them and perhaps the host it is meant for."""
    assert read_target(payload, HERE) == target


@pytest.mark.parametrize(
    "payload",
    [
        "{",
        "{}",
        '{"path": "relative"}',
        '{"path": "/nul\\u0000"}',
        '{"path": 3}',
        '{"path": "/a", "project": "b"}',
        '{"project": ""}',
        '{"project": ["a"]}',
        "two\nlines",
        "x" * 300,
        '{"a":' * 5000,
    ],
)
def test_what_is_no_target(payload: str) -> None:
    """Rubbish is a ValueError, never another exception and never everything."""
    with pytest.raises(ValueError, match=r".+"):
        read_target(payload, HERE)


@given(st.text())
def test_no_payload_breaks_the_reader(payload: str) -> None:
    """Any text is either a target or a ValueError, for both channels."""
    for read in (lambda text: read_target(text, HERE), unpack):
        with contextlib.suppress(ValueError):
            read(payload)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@given(st.lists(st.tuples(TEXTS, TEXTS, st.integers(0, 10**9)), max_size=60))
def test_announcements_hold_each_change_once(names: list[tuple[str, str, int]]) -> None:
    """Whatever the names, every payload fits and together they are the changes in order."""
    changes = [change(seq, root=root, slug=slug) for root, slug, seq in names]
    payloads = pack(HERE[0], changes)
    assert all(len(payload.encode()) <= PAYLOAD_MOST for payload in payloads)
    read = [unpack(payload) for payload in payloads]
    assert [one for _, told, _ in read for one in told] == changes
    assert {host for host, _, _ in read} <= {HERE[0]}
    assert not any(resync for _, _, resync in read)


def test_announcements_are_filled() -> None:
    """No payload but the last has room for another change."""
    payloads = pack(HERE[0], [change(seq) for seq in range(1000, 2000)])
    one = len(json.dumps(change(1000).to_json(), separators=(",", ":"))) + 1
    assert len(payloads) > 10
    assert all(len(payload) + one > PAYLOAD_MOST for payload in payloads[:-1])


def test_texts_of_unknown_length_are_cut() -> None:
    """A hostile phase or a long error does not push a change out of its payload."""
    long = change(phase="p" * 9000, status="s" * 9000, error="e" * 9000, project="g" * 9000)
    (payload,) = pack(HERE[0], [long])
    (told,) = unpack(payload)[1]
    assert long.phase is not None
    assert long.phase.startswith(str(told.phase))
    assert told.session_id == long.session_id


def test_a_change_that_fits_nowhere_asks_for_a_resync() -> None:
    """Its listeners are told to look at everything; the other changes are announced as ever."""
    read = [unpack(text) for text in pack(HERE[0], [change(1), change(2, root="r" * 9000), change(3)])]
    assert any(resync for _, _, resync in read)
    assert [one.seq for _, told, _ in read for one in told] == [1, 3]


def test_a_resync_comes_first_and_alone() -> None:
    """With nothing else to say, the resync is said nevertheless."""
    assert [unpack(text) for text in pack(HERE[0], [], resync=True)] == [(HERE[0], [], True)]
    assert pack(HERE[0], []) == []


@pytest.mark.parametrize(
    "tree", [[], {}, {"host": 1}, {"host": "h", "changes": {}}, {"host": "h", "changes": [1]}]
)
def test_what_is_no_announcement(tree: Any) -> None:
    """What `pack` did not make is a ValueError."""
    with pytest.raises(ValueError, match=r"this is no|a change is"):
        unpack(json.dumps(tree))
