"""Identities: names, and changes."""

import pytest
from pydantic import ValidationError

from sessionlib.models import FALLBACK_IDENTITY_ID, IdentityCreate, IdentityStatus, IdentityUpdate, derived_id


def test_fallback_has_the_id_of_its_name() -> None:
    """The seeded identity is the one that registering its name would give."""
    assert derived_id("identity", "unassigned") == FALLBACK_IDENTITY_ID


def test_name_has_limits() -> None:
    """A name has 1 to 200 characters."""
    assert IdentityCreate(name="x" * 200).platform is None
    for name in ("", "x" * 201):
        with pytest.raises(ValidationError):
            IdentityCreate(name=name)


def test_update() -> None:
    """None clears what may be empty; name and status cannot be cleared."""
    change = IdentityUpdate(platform=None, status=IdentityStatus.ARCHIVED)
    assert change.model_fields_set == {"platform", "status"}
    for wrong in ({"name": None}, {"name": ""}, {"status": None}, {"status": "gone"}):
        with pytest.raises(ValidationError):
            IdentityUpdate.model_validate(wrong)
