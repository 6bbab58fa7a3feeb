"""Workspaces: what registering needs, and changes."""

from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from sessionlib.models import WorkspaceCreate, WorkspaceUpdate


def test_create() -> None:
    """A path, and the folder's identity as signed 64-bit numbers."""
    place: dict[str, Any] = {
        "project_id": uuid4(),
        "host_id": uuid4(),
        "path": "/x",
        "dev": -1,
        "inode": 1 << 62,
    }
    assert WorkspaceCreate.model_validate(place).registered is False
    for wrong in ({"path": ""}, {"dev": None}, {"inode": "many"}):
        with pytest.raises(ValidationError):
            WorkspaceCreate.model_validate(place | wrong)


def test_update() -> None:
    """None clears what may be empty; the folder's own columns cannot be cleared."""
    change = WorkspaceUpdate(missing_since=None, overrides=None)
    assert change.model_fields_set == {"missing_since", "overrides"}
    assert WorkspaceUpdate(overrides={"a": {"b": [1]}}).overrides == {"a": {"b": [1]}}
    for wrong in (
        {"path": None},
        {"path": ""},
        {"dev": None},
        {"inode": None},
        {"registered": None},
        {"missing_since": "2026-01-05T09:00:00"},
        {"overrides": []},
    ):
        with pytest.raises(ValidationError):
            WorkspaceUpdate.model_validate(wrong)
