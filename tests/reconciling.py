"""A root to compare with the database again and again, for tests of the reconcile.

A test module imports the fixtures it uses.
"""

import shutil
from pathlib import Path

import pytest

from sessionlib.db.crud import findings
from tests import builders
from tests.mirrors import World


@pytest.fixture(name="root")
def root_fixture(tmp_path: Path) -> Path:
    """The sessions root of a project with three sessions."""
    return builders.make_project(tmp_path / "garden", ["one", "two", "three"]) / "agents/sessions"


@pytest.fixture(name="crowd")
def crowd_fixture(tmp_path: Path) -> Path:
    """The sessions root of a project with twenty sessions."""
    return builders.make_project(tmp_path / "town", [f"s{n:02}" for n in range(20)]) / "agents/sessions"


def missing(world: World) -> set[str]:
    """Return the slugs of the sessions that are tombstoned."""
    return {row["slug"] for row in world.rows("sessions") if row["missing_since"] is not None}


def open_findings(world: World) -> list[str]:
    """Return the kinds of what waits for a person."""
    with world.database.read() as connection:
        return [finding.kind for finding in findings.listed(connection)]


def vanish(root: Path, count: int) -> None:
    """Delete the first so many sessions of a root."""
    for path in sorted(root.iterdir())[:count]:
        shutil.rmtree(path)
