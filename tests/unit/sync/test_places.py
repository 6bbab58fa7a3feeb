"""Names as a database stores them, and back."""

import os
from pathlib import Path
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionlib.sync.places import Place, real_name, stored_name

NAMES = st.binary(min_size=1, max_size=12).map(os.fsdecode)


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("2026-01-05_garden", "2026-01-05_garden"),
        ("é 漢字 🌍", "é 漢字 🌍"),
        ("caf\udce9", "caf\\xe9"),
        ("\udcff\udc80é", "\\xff\\x80é"),
        ("a\\xff", "a\\\\xff"),
        ("/a/b\\c", "/a/b\\\\c"),
    ],
)
def test_what_is_stored(name: str, stored: str) -> None:
    """Only bytes that are not UTF-8, and backslashes, are escaped."""
    assert stored_name(name) == stored
    assert real_name(stored) == name


@given(NAMES)
def test_any_name_goes_there_and_back(name: str) -> None:
    """Whatever bytes a file system holds, they can be stored as UTF-8 and found again."""
    stored = stored_name(name)
    assert stored.encode()
    assert real_name(stored) == name


@given(NAMES, NAMES)
def test_no_two_names_are_stored_alike(one: str, two: str) -> None:
    """Different folders have different stored names, and so different sessions."""
    assert (stored_name(one) == stored_name(two)) == (one == two)


def test_a_session_id_depends_on_project_root_and_slug() -> None:
    """The id is the same in every workspace, and another in every project, root and folder."""

    def session_id(project: int, root: str, slug: str, workspace: int = 0) -> UUID:
        path = Path(f"/w{workspace}")
        return Place(UUID(int=project), UUID(int=workspace), path, root, path / root).session_id(slug)

    assert session_id(1, "agents/sessions", "one") == uuid5(UUID(int=1), "agents/sessions/one")
    assert session_id(1, "a", "one", 1) == session_id(1, "a", "one", 2)
    ids = {session_id(p, r, s) for p in (1, 2) for r in ("a", "b") for s in ("x", "y", "\udcff")}
    assert len(ids) == 12
