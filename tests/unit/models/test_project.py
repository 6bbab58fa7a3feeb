"""Projects: what registering needs, and changes."""

from uuid import uuid4

import pytest
from pydantic import ValidationError

from sessionlib.models import ProjectCreate, ProjectStatus, ProjectUpdate


def test_create() -> None:
    """Slug, name and the first key are needed; a project begins active."""
    made = ProjectCreate(slug="garden", name="Garden", minted_from="path:x")
    assert (made.status, made.phase, made.default_identity_id) == (ProjectStatus.ACTIVE, None, None)
    for missing in ("slug", "name", "minted_from"):
        with pytest.raises(ValidationError, match=missing):
            ProjectCreate.model_validate(made.model_dump(include={"slug", "name", "minted_from"} - {missing}))
        with pytest.raises(ValidationError, match=missing):
            ProjectCreate.model_validate(made.model_dump() | {missing: ""})


def test_update() -> None:
    """None clears what may be empty; slug, name and status cannot be cleared."""
    change = ProjectUpdate(phase=None, default_identity_id=None)
    assert change.model_fields_set == {"phase", "default_identity_id"}
    assert ProjectUpdate(default_identity_id=uuid4()).model_fields_set == {"default_identity_id"}
    for wrong in ({"slug": None}, {"slug": ""}, {"name": ""}, {"status": None}, {"minted_from": "x"}):
        with pytest.raises(ValidationError):
            ProjectUpdate.model_validate(wrong)
