"""One reading of one session folder: what was found, hashed, parsed and understood, before any lock."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from sessionlib.errors import StateInvalidError, StateNotFoundError
from sessionlib.state.content import Part, SessionContent
from sessionlib.state.document import decode, interpret
from sessionlib.state.files import Inputs, Look, look, read_inputs
from sessionlib.state.layout import PLAN_FILE, RESEARCH_DIR, STATE_FILE
from sessionlib.sync.digests import content_hash, dump_json, inputs_hash
from sessionlib.sync.places import stored_name


@dataclass(frozen=True, slots=True)
class Document(Part):
    """One input that could be parsed, as it is stored; what it was parsed to is many times as large.

    Attributes:
        name: Which input it is.
        content_hash: SHA-256 of the file's bytes.
        size: How many bytes the file holds.
        body: Its content as compact JSON.
        time: Its greatest stamp, of the document alone: the same bytes may be a state and a plan.
    """

    name: str
    content_hash: str
    size: int
    body: str
    time: datetime | None

    @classmethod
    def of(cls, name: str, data: bytes, tree: dict[str, Any], content: SessionContent) -> Self:
        """Make it of what a file holds, parsed and understood."""
        return cls(name, content_hash(data), len(data), dump_json(tree), max(content.stamps, default=None))


@dataclass(frozen=True, slots=True)
class Snapshot(Part):
    """A session folder as it was read at one moment.

    Either `content` is there, with the documents it was made of, or `error` says why not.

    Attributes:
        look: The signatures the reading belongs to.
        state_hash: SHA-256 of state.json, None if it could not be read.
        inputs_hash: One hash over all inputs, None with an error.
        state: What state.json holds, None with an error.
        extras: What the inputs beside it hold.
        problems: (input name, what is wrong with it), for inputs that do not fail the session.
        racy: Written so short a time ago that a second write could hide; look again a little later.
    """

    look: Look
    state_hash: str | None = None
    inputs_hash: str | None = None
    state: Document | None = None
    extras: tuple[Document, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()
    content: SessionContent | None = None
    error: str | None = None
    racy: bool = False


def take(session_dir: Path, *, beneath: Path | None = None, give_up: bool = False) -> Snapshot | None:
    """Read a session folder; None when it holds no state.json.

    Args:
        session_dir: The session folder.
        beneath: The folder above it below which no link is followed; see `read_inputs`.
        give_up: What looks like half of a write has stayed so for longer than any write takes: it is
            recorded as what is wrong instead of raised.

    Raises:
        StateInvalidError: Only with `torn` set: what was read looks like half of a write.
        StateUnreadableError: The operating system refused the read for now.
    """
    # An error is recorded with a look from before the reading that failed: were it taken afterwards, a file
    # mended in between would look like the broken one for ever.
    before = look(session_dir)
    if before is None:
        return None
    try:
        inputs = read_inputs(session_dir, beneath=beneath, seen=before)
    except StateNotFoundError:
        return None
    except StateInvalidError as error:
        return _failed(before, error, racy=False, give_up=give_up)
    try:
        tree = decode(inputs.state, session_dir=session_dir)
    except StateInvalidError as error:
        return _failed(inputs.look, error, racy=inputs.racy, give_up=give_up)
    return _understood(inputs, tree, session_dir, give_up=give_up)


def _failed(seen: Look, error: StateInvalidError, *, racy: bool, give_up: bool) -> Snapshot:
    if error.torn and not give_up:
        raise error
    message = error.message
    words = message if message.startswith(STATE_FILE) else f"{STATE_FILE} {message}"
    return Snapshot(look=seen, error=words, racy=racy)


def _understood(inputs: Inputs, tree: dict[str, Any], session_dir: Path, *, give_up: bool) -> Snapshot:
    extras, trees, problems = _extras(inputs, session_dir, give_up=give_up)
    plan = trees.pop(PLAN_FILE, None)
    content = interpret(tree, plan, [(run_id(name), run) for name, run in trees.items()])
    state = Document.of(STATE_FILE, inputs.state, tree, content)
    marks = sorted([(e.name, e.content_hash, None) for e in extras] + [(n, None, p) for n, p in problems])
    return Snapshot(
        look=inputs.look,
        state_hash=state.content_hash,
        inputs_hash=inputs_hash(state.content_hash, marks),
        state=state,
        extras=extras,
        problems=problems,
        content=with_problems(content, problems),
        racy=inputs.racy,
    )


def with_problems(content: SessionContent, problems: tuple[tuple[str, str], ...]) -> SessionContent:
    """Return the content with the problems of further inputs among its warnings."""
    return replace(content, warnings=content.warnings + problems) if problems else content


def run_id(name: str) -> str:
    """Return the research id in the input name ``research/<id>/state.json``."""
    return name.removeprefix(f"{RESEARCH_DIR}/").removesuffix(f"/{STATE_FILE}")


def _extras(
    inputs: Inputs, session_dir: Path, *, give_up: bool
) -> tuple[tuple[Document, ...], dict[str, dict[str, Any]], tuple[tuple[str, str], ...]]:
    """Return the inputs beside state.json, what they were parsed to, and what is wrong with the others."""
    if inputs.plan is None and not inputs.research and not inputs.problems:
        return (), {}, ()
    # In the order in which the database gives them back: the order of the notes is part of the content.
    found = sorted(
        (f"{RESEARCH_DIR}/{stored_name(name)}/{STATE_FILE}", data) for name, data in inputs.research
    )
    if inputs.plan is not None:
        found.insert(0, (PLAN_FILE, inputs.plan))
    documents: list[Document] = []
    trees: dict[str, dict[str, Any]] = {}
    problems = [(stored_name(name), problem) for name, problem in inputs.problems]
    for name, data in found:
        try:
            tree = decode(data, session_dir=session_dir, name=name)
        except StateInvalidError as error:
            if error.torn and inputs.racy and not give_up:
                raise
            # The name stands before a problem already, as with those of the reading.
            problems.append((name, error.message.removeprefix(f"{name} ")))
        else:
            documents.append(Document.of(name, data, tree, interpret(tree)))
            trees[name] = tree
    return tuple(documents), trees, tuple(sorted(problems))
