"""A session's files as they were at one moment, and what they mean."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sessionlib.errors import StateInvalidError
from sessionlib.state.content import SessionContent
from sessionlib.state.decoding import decode, parse_exactly
from sessionlib.state.files import Inputs, read_inputs
from sessionlib.state.interpret import interpret

_SECOND_LOOKS = (0.02, 0.05, 0.1)
"""Pauses, in seconds, before looking again at what seems half written by somebody without the lock."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent reading.

    Attributes:
        inputs: The bytes.
        content_hash: SHA-256 of state.json, in hexadecimal.
        content: What the document says.
    """

    inputs: Inputs
    content_hash: str
    content: SessionContent

    def document(self, session_dir: Path) -> dict[str, Any]:
        """Return a fresh copy of the document with every character of the file."""
        return parse_exactly(self.inputs.state, session_dir=session_dir)


def take_snapshot(session_dir: Path) -> Snapshot:
    """Read a session; waits up to 0.2 s for a write in place to end.

    Raises:
        StateNotFoundError: There is no state.json.
        StateInvalidError: It cannot be understood.
        StateUnreadableError: It cannot be read.
    """
    for pause in _SECOND_LOOKS:
        try:
            return _take(session_dir)
        except StateInvalidError as error:
            if not error.torn:
                raise
            time.sleep(pause)
    return _take(session_dir)


def _take(session_dir: Path) -> Snapshot:
    inputs = read_inputs(session_dir)
    return Snapshot(inputs, hash_of(inputs.state), meaning(session_dir, inputs.state, inputs))


def hash_of(data: bytes) -> str:
    """Return the SHA-256 of a state.json, in hexadecimal: what ``if_hash`` is compared with."""
    return hashlib.sha256(data).hexdigest()


def meaning(session_dir: Path, state: bytes, beside: Inputs) -> SessionContent:
    """Interpret the bytes of a state.json together with the other inputs of a reading.

    Raises:
        StateInvalidError: The bytes cannot be understood. (A broken plan or research run only says nothing.)
    """
    runs = ((name, _lenient(data, session_dir)) for name, data in beside.research)
    return interpret(
        decode(state, session_dir=session_dir),
        None if beside.plan is None else _lenient(beside.plan, session_dir),
        [(name, run) for name, run in runs if run is not None],
    )


def _lenient(data: bytes, session_dir: Path) -> dict[str, Any] | None:
    try:
        return decode(data, session_dir=session_dir)
    except StateInvalidError:
        return None
