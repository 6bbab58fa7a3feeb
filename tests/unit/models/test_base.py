"""What all models share: times in UTC, derived ids, strictness."""

import importlib
import inspect
import pkgutil
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

from sessionlib import models
from sessionlib.models import Model, Phase, SessionType, Status, UtcDatetime, derived_id, utc_now

MODULES = [
    importlib.import_module(f"sessionlib.models.{found.name}")
    for found in pkgutil.iter_modules(models.__path__)
]
CLASSES = [
    value
    for module in MODULES
    for value in vars(module).values()
    if inspect.isclass(value) and value.__module__ == module.__name__
]
ADAPTER: TypeAdapter[datetime] = TypeAdapter(UtcDatetime)


def test_derived_ids_are_pinned() -> None:
    """Ids never change: databases in the world hold them."""
    assert derived_id("project", "path:/home/ann/garden") == UUID("e29b2f28-381d-5262-918e-b6975881e9e1")
    assert derived_id("host", UUID(int=1), None, 2) == UUID("cbfc3033-dd40-5166-9346-5f647e79b22b")
    assert UUID("6273740b-4d60-5292-b3eb-fb8667307f70") == models.NAMESPACE
    assert UUID("b1f22207-3f32-5f51-9e7d-99dd16c6f155") == models.FALLBACK_IDENTITY_ID


def test_derived_ids_keep_their_parts_apart() -> None:
    """Parts that join to the same letters give different ids, and all of them count."""
    ids = {
        derived_id("a", "bc"),
        derived_id("ab", "c"),
        derived_id("abc"),
        derived_id("a", "b", "c"),
        derived_id("a", "bc", ""),
    }
    assert len(ids) == 5
    assert all(made.version == 5 for made in ids)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-01-05T09:00:00Z", datetime(2026, 1, 5, 9, tzinfo=UTC)),
        ("2026-01-05T09:00:00.123456+05:30", datetime(2026, 1, 5, 3, 30, 0, 123456, tzinfo=UTC)),
        (
            datetime(2026, 1, 5, tzinfo=timezone(timedelta(hours=-14))),
            datetime(2026, 1, 5, 14, tzinfo=UTC),
        ),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_become_utc(written: object, moment: datetime) -> None:
    """An aware time is the same moment in UTC."""
    found = ADAPTER.validate_python(written)
    assert found == moment
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "written",
    [
        "2026-01-05T09:00:00",
        datetime(2026, 1, 5),  # noqa: DTZ001
        "2026-01-05",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-01:00",
        "soon",
        None,
    ],
)
def test_times_that_are_refused(written: object) -> None:
    """A naive time, and one that UTC's calendar does not hold, is a validation error."""
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(written)


def test_now_is_aware() -> None:
    """The present moment is in UTC."""
    before = utc_now()
    assert before.tzinfo is UTC
    assert before <= utc_now()


def test_words() -> None:
    """The words of the workflow, in its order."""
    assert [phase.value for phase in Phase] == ["spec", "plan", "build", "docs", "complete"]
    assert [status.value for status in Status] == ["active", "paused", "complete", "failed"]
    assert [kind.value for kind in SessionType] == ["full", "quick", "research"]


def test_every_public_name_is_exported() -> None:
    """Every model and word of the modules can be imported from the package, and `__all__` is sorted out."""
    public = {found.__name__ for found in CLASSES if not found.__name__.startswith("_")}
    assert public <= set(models.__all__)
    for name in models.__all__:
        assert hasattr(models, name)
    assert len(models.__all__) == len(set(models.__all__))


@pytest.mark.parametrize(
    "kind", [found for found in CLASSES if issubclass(found, Model)], ids=lambda kind: kind.__name__
)
def test_models_are_strict(kind: type[Model]) -> None:
    """Every model is frozen, refuses unknown fields, reads rows, and explains itself."""
    assert kind.model_config.get("frozen") is True
    assert kind.model_config.get("extra") == "forbid"
    assert kind.model_config.get("from_attributes") is True
    assert kind.__doc__
    with pytest.raises(ValidationError, match="Extra inputs"):
        kind.model_validate({"no_such_field": 1})


@pytest.mark.parametrize(
    "kind",
    [
        models.AgentUpdate,
        models.IdentityUpdate,
        models.ProjectUpdate,
        models.SessionUpdate,
        models.WorkspaceUpdate,
    ],
    ids=lambda kind: kind.__name__,
)
def test_updates_can_be_empty(kind: type[Model]) -> None:
    """A change that sets nothing is possible, and says that it sets nothing."""
    empty = kind()
    assert empty.model_fields_set == set()
    assert empty == kind.model_validate({})


def test_words_are_strings() -> None:
    """Each word can be written as it is."""
    words = [found for found in CLASSES if issubclass(found, Enum)]
    assert all(issubclass(found, str) for found in words)
    assert f"{Phase.BUILD}" == "build"
