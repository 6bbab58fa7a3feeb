"""Files that are too long, too many, too deep; each either within the limits or beyond them."""

from collections.abc import Callable

from sessionlib.state.decoding import MAX_DEPTH, MAX_VALUES
from sessionlib.state.files import MAX_BYTES
from tests import builders
from tests.hostile.entry import Document, Entry, taken, text_of, with_field

_MEGABYTE = 1_000_000
_LONG = "must not be longer"

TEXT_FIELDS = (
    "session_id",
    "topic",
    "description",
    "session_type",
    "current_phase",
    "status",
    "git.branch",
    "git.worktree",
    "git.base_branch",
    "prior_session",
    "parent_session",
    "commits.0.sha",
    "commits.0.message",
    "key_decisions.0.title",
    "key_decisions.0.rationale",
    "doc_updates.0.type",
    "doc_updates.0.path",
    "doc_updates.0.description",
    "research_artifacts.0.research_id",
    "conversations.0.client",
    "conversations.0.native_id",
    "created_at",
    "goals.high_level.0",
)


def full_document() -> Document:
    """Return a document in which every field that is read has a value."""
    return builders.hybrid_21_keys(
        description="d",
        research_artifacts=[{"research_id": "soil", "success_criteria_met": "1 of 2"}],
        conversations=[{"client": "c", "native_id": "n", "linked_at": builders.T0}],
        goals={"high_level": ["shade"]},
        plan_state=builders.plan_state(5, 5),
        phases=builders.v1_phases("finalized", "completed"),
    )


def _many(name: str, key: str, item: str, count: int, *, takes: bool) -> Entry:
    def make() -> bytes:
        listed = item + ("," + item) * (count - 1)
        return f'{{"topic": "{name}", "{key}": [{listed}]}}'.encode()

    return Entry(name, make, warned=(key,) if takes else (), refused=None if takes else "are read")


_ITEMS = {
    "commits": '{"sha":"abc","message":"m"}',
    "key_decisions": '{"decision":"d"}',
    "doc_updates": '{"path":"p"}',
    "conversations": '{"client":"c","native_id":"n"}',
    "research_artifacts": '{"research_id":"r"}',
}


def _keys(count: int) -> bytes:
    return b'{"topic":"x",' + b",".join(b'"%x":0' % n for n in range(count)) + b"}"


def _deep(levels: int, opener: str = "[", closer: str = "]") -> bytes:
    inner = levels - 1
    return (f'{{"topic": "x", "a": {opener * inner}1{closer * inner}}}').encode()


def _entry(name: str, make: Callable[[], bytes], words: str | None = None) -> Entry:
    return Entry(name, make, refused=words)


def entries() -> list[Entry]:
    """Return the entries."""
    too_many, too_long, too_deep = f"at most {MAX_VALUES:,} are read", "are read", "is nested deeper than"
    full = full_document()
    return [
        Entry("100 MB", lambda: b'{"topic": "', refused="104,857,600 bytes; at most", length=100 << 20),
        Entry("one byte too long", lambda: b"{}", refused=too_long, length=MAX_BYTES + 1),
        Entry("longest zeros", lambda: b"", refused="is empty", length=MAX_BYTES),
        _entry("longest text", lambda: b'{"topic": "' + b"a" * (MAX_BYTES - 13) + b'"}'),
        _entry("longest wide text", lambda: '{"topic": "😀'.encode() + b"a" * (MAX_BYTES - 17) + b'"}'),
        _entry("longest escapes", lambda: b'{"topic": "' + b"\\u0000" * (MAX_BYTES // 6 - 9) + b'"}'),
        _entry("4,000,000 keys", lambda: _keys(4_000_000), too_long),
        _entry("200,000 keys", lambda: _keys(200_000), too_many),
        _entry("90,000 keys", lambda: _keys(90_000)),
        _entry("4,000,000 numbers", lambda: b'{"l":[' + b"0," * 4_000_000 + b"0]}", too_long),
        _entry("1,000,000 numbers", lambda: b'{"l":[' + b"0," * 1_000_000 + b"0]}", too_many),
        _entry("99,000 numbers", lambda: b'{"l":[' + b"0," * 99_000 + b"0]}"),
        _entry("empty lists", lambda: b'{"l":[' + b"[]," * 690_000 + b"0]}", too_many),
        _entry("99,000 empty strings", lambda: b'{"l":[' + b'"",' * 98_990 + b"0]}"),
        _entry(f"{MAX_DEPTH} levels", lambda: _deep(MAX_DEPTH)),
        *(
            _entry(f"{levels:,} levels of {kind}", lambda n=levels, o=o, c=c: _deep(n, o, c), too_deep)
            for levels in (MAX_DEPTH + 1, 1_000, 10_000)
            for kind, o, c in (("lists", "[", "]"), ("objects", '{"a":', "}"))
        ),
        _entry("1,000,000 levels", lambda: _deep(1_000_000), too_many),
        _entry("1,000,000 openings", lambda: b"[" * 1_000_000, too_many),
        _entry("50,000 openings", lambda: b'{"a":' * 50_000, "state.json is"),
        *(_many(f"20,000 {key}", key, item, 20_000, takes=True) for key, item in _ITEMS.items()),
        *(_many(f"100,000 {key}", key, item, 100_000, takes=False) for key, item in _ITEMS.items()),
        *(
            taken(f"1 MB in {field}", text_of(with_field(full, field, "x" * _MEGABYTE)))
            for field in TEXT_FIELDS
        ),
        taken("1 MB of emoji", text_of(with_field(full, "topic", "😀" * (_MEGABYTE // 4)))),
        taken("1 MB key", {"k" * _MEGABYTE: 1, "topic": "x"}),
        taken("many long keys", {f"{n}" + "k" * 10_000: n for n in range(100)}),
        *_checkpoints(),
    ]


def _checkpoints() -> list[Entry]:
    def of(name: str, *warned: str, **progress: object) -> Entry:
        return taken(name, builders.v2_building(build_progress=progress), *warned)

    done = "checkpoints_completed"
    return [
        of("100,000 checkpoints", "checkpoints", checkpoints_total=100_000),
        of("checkpoints to the limit", "checkpoints", checkpoints_total=2**31 - 1),
        of("90,000 completed", "checkpoints", **{done: list(range(90_000)), "checkpoints_total": 90_000}),
        of("a count of completed", f"build_progress.{done}", **{done: 2**31 - 1}),
        of("duplicate checkpoints", **{done: [1, 1, 1, 2, 2], "checkpoints_total": 3}),
        of(
            "negative checkpoints",
            f"build_progress.{done}[0]",
            **{done: [-1, 0, -(2**31)], "checkpoints_total": -4},
        ),
        of("more done than declared", **{done: [1, 2, 3, 99], "checkpoints_total": 2}),
        of("strings for checkpoints", f"build_progress.{done}[0]", **{done: ["1", " 2 ", "three"]}),
        of("nested checkpoints", f"build_progress.{done}[0]", **{done: [[1], {"id": 2}, None, True]}),
    ]
