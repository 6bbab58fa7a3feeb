"""Identities: the "who" that a conversation runs as."""

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from sessionlib.models.base import Model, UtcDatetime, derived_id

FALLBACK_IDENTITY_ID = derived_id("identity", "unassigned")
"""The seeded identity that stands where no rule names another, so that the link is never NULL."""


class IdentityStatus(StrEnum):
    """Whether an identity may still be chosen."""

    ACTIVE = "active"
    ARCHIVED = "archived"


class IdentityCreate(Model):
    """What is needed to register an identity."""

    name: str = Field(min_length=1, max_length=200)
    platform: str | None = None
    description: str | None = None


class IdentityUpdate(Model):
    """A change; only the fields that were set are written, and None writes NULL."""

    name: str = Field(default="", min_length=1, max_length=200)
    platform: str | None = None
    description: str | None = None
    status: IdentityStatus = IdentityStatus.ACTIVE


class Identity(Model):
    """A registered identity."""

    identity_id: UUID
    name: str
    platform: str | None
    description: str | None
    status: IdentityStatus
    created_at: UtcDatetime
    updated_at: UtcDatetime


class IdentitySummary(Model):
    """An identity and how many projects have it as their default."""

    identity_id: UUID
    name: str
    status: IdentityStatus
    default_of: int
