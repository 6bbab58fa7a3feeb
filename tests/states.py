"""Session folders, looks and readings for tests of the state side.

A test module imports the fixtures it uses.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from sessionlib.state.content import SessionContent
from sessionlib.state.files import Look, look
from tests import builders


@pytest.fixture(name="session")
def inputs_fixture(tmp_path: Path) -> Path:
    """A session with every kind of input."""
    return builders.make_session(
        tmp_path / "agents/sessions",
        "s1",
        {"topic": "t"},
        plan={"checkpoints": []},
        research={"r1": {"id": "r1"}, "r2": {"id": "r2"}},
    )


@pytest.fixture(name="session")
def building_fixture(tmp_path: Path) -> Path:
    """A v2 session in its build, two of four checkpoints done."""
    return builders.make_session(tmp_path / "agents/sessions", "s1", builders.v2_building())


def seen(session_dir: Path, known: Look | None = None) -> Look:
    """Look at a session that is there."""
    found = look(session_dir, known)
    assert found is not None
    return found


def on_disk(session_dir: Path) -> dict[str, Any]:
    """Return the document as its file holds it."""
    return json.loads((session_dir / "state.json").read_text())


def problems(content: SessionContent) -> list[str]:
    """Return the places that the content warns of."""
    return [path for path, _ in content.warnings]
