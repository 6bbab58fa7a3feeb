"""Shared words and types: phases, statuses, times, derived ids. No I/O."""

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, PlainSerializer

NAMESPACE = uuid5(NAMESPACE_URL, "urn:sessiond")
"""All derived ids descend from this one, so that a rebuilt mirror carries the same ids."""


class Phase(StrEnum):
    """Where a session stands in its workflow, in working order."""

    SPEC = "spec"
    PLAN = "plan"
    BUILD = "build"
    DOCS = "docs"
    COMPLETE = "complete"


class Status(StrEnum):
    """Whether anybody works on a session."""

    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETE = "complete"
    FAILED = "failed"


class SessionType(StrEnum):
    """Which of the workflow's paths a session takes."""

    FULL = "full"
    QUICK = "quick"
    RESEARCH = "research"


def utc_now() -> datetime:
    """Return the present moment, timezone-aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the one place that reads the wall clock


def iso_milliseconds(moment: datetime) -> str:
    """Return a time in UTC as documents and answers carry it: ISO 8601, milliseconds, ``Z``."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        message = "is in no year from 1 to 9999 in UTC"
        raise ValueError(message) from error


UtcDatetime = Annotated[AwareDatetime, AfterValidator(_to_utc)]
"""An aware datetime, converted to UTC; a naive one is refused."""

Dollars = Annotated[Decimal, PlainSerializer(float, return_type=float, when_used="json")]
"""US dollars, exact; in JSON a number, which carries nine places after the point below a million."""


def derived_id(*parts: object) -> UUID:
    """Return the UUIDv5 of the parts joined by a unit separator (which no path or slug contains)."""
    return uuid5(NAMESPACE, "\x1f".join(str(part) for part in parts))


class Model(BaseModel):
    """Base of all models: frozen, unknown fields refused, rows readable by attribute."""

    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True)
