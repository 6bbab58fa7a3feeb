"""One reading of one session folder: what was found, hashed, parsed and understood, before any lock."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sessionlib.errors import StateInvalidError, StateNotFoundError
from sessionlib.state.content import SessionContent
from sessionlib.state.document import decode, interpret
from sessionlib.state.files import Inputs, Look, look, read_inputs
from sessionlib.state.layout import PLAN_FILE, RESEARCH_DIR, STATE_FILE
from sessionlib.sync.mapping import content_hash, inputs_hash
from sessionlib.sync.places import stored_name


@dataclass(frozen=True, slots=True)
class Document:
    """One input that could be parsed."""

    name: str
    content_hash: str
    size: int
    tree: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A session folder as it was read at one moment.

    Either `content` is there, with the documents it was made of, or `error` says why not.

    Attributes:
        look: The signatures the reading belongs to.
        state_hash: SHA-256 of state.json, None if it could not be read.
        inputs_hash: One hash over all inputs, None with an error.
        state: The parsed state.json, None with an error.
        extras: The parsed inputs beside it.
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


def take(session_dir: Path) -> Snapshot | None:
    """Read a session folder; None when it holds no state.json.

    Raises:
        StateInvalidError: Only with `torn` set: what was read looks like half of a write.
        StateUnreadableError: The operating system refused the read for now.
    """
    try:
        inputs = read_inputs(session_dir)
    except StateNotFoundError:
        return None
    except StateInvalidError as error:
        return _failed(session_dir, None, error)
    try:
        tree = decode(inputs.state, session_dir=session_dir)
    except StateInvalidError as error:
        return _failed(session_dir, inputs, error)
    return _understood(inputs, tree, session_dir)


def settle_torn(session_dir: Path, error: StateInvalidError) -> Snapshot | None:
    """Return the snapshot of a folder that stayed torn for longer than any write takes."""
    seen = look(session_dir)
    return None if seen is None else Snapshot(look=seen, error=_words(error))


def _words(error: StateInvalidError) -> str:
    return error.message if error.message.startswith(STATE_FILE) else f"{STATE_FILE} {error.message}"


def _failed(session_dir: Path, inputs: Inputs | None, error: StateInvalidError) -> Snapshot | None:
    if error.torn:
        raise error
    seen = look(session_dir) if inputs is None else inputs.look
    if seen is None:
        return None
    return Snapshot(look=seen, error=_words(error), racy=inputs is not None and inputs.racy)


def _understood(inputs: Inputs, tree: dict[str, Any], session_dir: Path) -> Snapshot:
    state = Document(STATE_FILE, content_hash(inputs.state), len(inputs.state), tree)
    extras, problems = _extras(inputs, session_dir)
    plan = next((extra.tree for extra in extras if extra.name == PLAN_FILE), None)
    content = interpret(tree, plan, [(run_id(e.name), e.tree) for e in extras if e.name != PLAN_FILE])
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


def _extras(inputs: Inputs, session_dir: Path) -> tuple[tuple[Document, ...], tuple[tuple[str, str], ...]]:
    if inputs.plan is None and not inputs.research and not inputs.problems:
        return (), ()
    found = [(f"{RESEARCH_DIR}/{stored_name(name)}/{STATE_FILE}", data) for name, data in inputs.research]
    if inputs.plan is not None:
        found.insert(0, (PLAN_FILE, inputs.plan))
    documents: list[Document] = []
    problems = [(stored_name(name), problem) for name, problem in inputs.problems]
    for name, data in found:
        try:
            tree = decode(data, session_dir=session_dir)
        except StateInvalidError as error:
            if error.torn and inputs.racy:
                raise
            problems.append((name, error.message))
        else:
            documents.append(Document(name, content_hash(data), len(data), tree))
    return tuple(documents), tuple(sorted(problems))
