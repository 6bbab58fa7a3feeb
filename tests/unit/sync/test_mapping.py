"""From documents to rows: pure functions, the same on any host at any time."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionlib.db.store import Batch
from sessionlib.state.document import interpret
from sessionlib.sync import digests, mapping
from sessionlib.sync.mapping import Observed, Origin
from tests import builders

NOW = datetime(2026, 2, 1, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 10**9
ORIGIN = Origin(UUID(int=1), UUID(int=2), "agents/sessions", "one", UUID(int=3), "c" * 64, "i" * 64, NOW_NS)
SEEN = Observed(NOW, NOW, NOW, None, None, 1)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)
DOCUMENTS = st.dictionaries(
    st.sampled_from([*builders.hybrid_21_keys(), *builders.v1_3(), "conversations", "x"]), VALUES, max_size=9
)


def batch_of(document: dict[str, Any]) -> Batch:
    batch = Batch()
    mapping.add_session(batch, ORIGIN, mapping.storable(interpret(document)), SEEN, None)
    return batch


# --- hashes ----------------------------------------------------------------------------------------


def test_the_hash_of_a_lone_state_is_its_own() -> None:
    """Without further inputs the inputs' hash is the content's; the content's is plain SHA-256."""
    assert digests.content_hash(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digests.inputs_hash("abc", []) == "abc"


EXTRA = st.tuples(st.text(max_size=3), st.none() | st.text(max_size=3), st.none() | st.text(max_size=3))


@given(st.lists(EXTRA, max_size=3), st.lists(EXTRA, max_size=3))
def test_different_inputs_have_different_hashes(
    one: list[tuple[str, str | None, str | None]], two: list[tuple[str, str | None, str | None]]
) -> None:
    """No two lists of inputs share a hash, an empty text and none being the same."""

    def plain(extras: list[tuple[str, str | None, str | None]]) -> list[tuple[str, str, str]]:
        return [(name, found or "", problem or "") for name, found, problem in extras]

    texts = [text for extra in plain(one + two) for text in extra]
    if not any("\0" in text for text in texts):
        same = digests.inputs_hash("s", one) == digests.inputs_hash("s", two)
        assert same == (plain(one) == plain(two))


# --- times -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nanoseconds", "moment"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (NOW_NS + 1_999, NOW + timedelta(microseconds=1)),
        (-1, datetime(1970, 1, 1, tzinfo=UTC)),
        (-(1 << 63), datetime(1970, 1, 1, tzinfo=UTC)),
        ((1 << 63) - 1, datetime.fromtimestamp(((1 << 63) - 1) // 10**9, UTC).replace(microsecond=854775)),
        (10**40, datetime(9999, 1, 1, tzinfo=UTC)),
    ],
)
def test_file_times(nanoseconds: int, moment: datetime) -> None:
    """A file's time is kept to the microsecond; what no calendar holds becomes the nearest it holds."""
    assert mapping.time_of(nanoseconds) == moment


@pytest.mark.parametrize(
    ("seconds", "believed"), [(-86400, True), (0, True), (60, True), (60.000001, False), (10**8, False)]
)
def test_stamps_from_the_future_are_not_believed(seconds: float, believed: bool) -> None:
    """A stamp counts up to a minute after its file's time."""
    stamp = NOW + timedelta(seconds=seconds)
    assert mapping.document_time([stamp], NOW_NS) == (stamp if believed else None)
    assert mapping.activity_at([stamp], NOW_NS) == (stamp if believed else NOW)


def test_the_latest_believable_stamp_counts() -> None:
    """Of several stamps the latest that can be true is taken, in whatever order they come."""
    past, now, future = NOW - timedelta(days=1), NOW, NOW + timedelta(days=1)
    assert mapping.document_time([future, past, now], NOW_NS) == now
    assert mapping.document_time([], NOW_NS) is None


# --- JSON ------------------------------------------------------------------------------------------


@given(VALUES)
def test_json_goes_there_and_back(value: Any) -> None:
    """Any JSON value is written so that it reads the same, integers over 64 bit too."""
    assert json.loads(digests.dump_json(value)) == value


def test_times_are_written_with_a_z() -> None:
    """Times inside JSON are UTC and say so."""
    assert digests.dump_json({"at": NOW}) == '{"at":"2026-02-01T00:00:00Z"}'


# --- rows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("generation", builders.SESSIONS)
def test_each_part_is_owned_and_keyed(generation: str) -> None:
    """Each part's row carries the session's key, and no key comes twice."""
    batch = batch_of(builders.SESSIONS[generation]())
    assert len(batch.sessions) == 1
    lists: tuple[tuple[list[Any], int], ...] = (
        (batch.checkpoints, 3),
        (batch.commits, 3),
        (batch.decisions, 3),
        (batch.doc_updates, 3),
        (batch.research_runs, 3),
        (batch.links, 5),
    )
    for rows, width in lists:
        keys = [row[:width] for row in rows]
        assert len(keys) == len(set(keys))
        assert all(key[:2] == (ORIGIN.project_id, ORIGIN.session_id) for key in keys)


@given(DOCUMENTS)
def test_any_object_has_rows(document: dict[str, Any]) -> None:
    """Whatever object a document is, its rows have unique keys, valid JSON and aware times."""
    batch = batch_of(document)
    (row,) = batch.sessions
    for text in (row.phase_history, row.checkpoints_completed_ids, row.warnings):
        orjson.loads(text)
    for rows in (batch.links, batch.research_runs, batch.checkpoints, batch.commits):
        keys = [part[: 5 if rows is batch.links else 3] for part in rows]
        assert len(keys) == len(set(keys))
    moments = [value for part in (row, *batch.commits) for value in part if isinstance(value, datetime)]
    assert all(moment.tzinfo is not None for moment in moments)
    assert row.checkpoints_completed == len(orjson.loads(row.checkpoints_completed_ids))
    assert len(orjson.loads(row.warnings)) <= 100


def test_shas_are_lower_case() -> None:
    """Commits are found whatever case their document writes."""
    batch = batch_of(builders.v2(commits=[{"sha": "ABCDEF1", "message": "m"}]))
    assert batch.commits[0].sha == "abcdef1"


def test_links_of_a_whole_conversation_have_no_agent() -> None:
    """None and an empty agent are one link, because a key holds no NULL."""
    links = [
        {"client": "c", "native_id": "n", "agent_native_id": agent, "source": str(agent)}
        for agent in (None, "", "a")
    ]
    assert [row.agent_native_id for row in batch_of({"conversations": links}).links] == ["", "a"]


def test_what_fits_is_left_alone() -> None:
    """An honest document is the very same content before and after."""
    for make in builders.SESSIONS.values():
        content = interpret(make())
        assert mapping.storable(content) is content


@pytest.mark.parametrize("length", [200, 201])
def test_ids_up_to_a_bound_are_stored(length: int) -> None:
    """Ids of conversations, agents and research runs that no index holds are left out, with a note."""
    long = "x" * length
    document = {
        "conversations": [
            {"client": "c", "native_id": long},
            {"client": "c", "native_id": "n", "agent_native_id": long},
        ],
        "research_artifacts": [{"research_id": long}],
    }
    content = mapping.storable(interpret(document))
    kept = length == 200
    assert (len(content.links), len(content.research_runs)) == ((2, 1) if kept else (0, 0))
    noted = [path for path, problem in content.warnings if "too long" in problem]
    assert noted == ([] if kept else ["conversations", "research_artifacts"])


@pytest.mark.parametrize(("kind", "most"), [("words", 150), ("shas", 500)])
@pytest.mark.parametrize("more", [0, 1])
def test_words_up_to_a_bound_are_stored(kind: str, most: int, more: int) -> None:
    """Phases, statuses and shas that no index holds are cut, with a note before all others."""
    long = "é" * (most + more)
    given = {"current_phase": long, "status": long} if kind == "words" else {"commits": [{"sha": long}]}
    content = mapping.storable(interpret(given | {"topic": long}))
    kept = "é" * (most - 1) + "…" if more else long
    if kind == "words":
        assert [content.current_phase, content.status, content.effective_status] == [kept] * 3
    else:
        assert content.commits[0].sha == kept
    assert content.topic == long
    noted = [path for path, problem in content.warnings[:2] if "too long" in problem]
    assert noted == (["current_phase", "status"] if kind == "words" else ["commits"]) * more
