"""Bodies of answers, and what errors become."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import pytest

from sessiond.control.answers import RequestError, encode, iso
from sessionlib import errors
from sessionlib.db.crud.findings import Finding
from tests.controls import counts

HERE = Path("/p/a")

EXPECTED: dict[type[errors.SessionlibError], int] = {
    errors.UsageError: 400,
    errors.RowRejectedError: 400,
    errors.RecordNotFoundError: 404,
    errors.StateNotFoundError: 404,
    errors.StateLockedError: 409,
    errors.ConfigError: 422,
    errors.DatabaseError: 503,
    errors.DatabaseUnavailableError: 503,
    errors.SchemaMissingError: 503,
    errors.StoppingError: 503,
    errors.StateUnreadableError: 503,
    errors.StateInvalidError: 500,
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_every_error_of_ours_has_its_status(kind: type[errors.SessionlibError]) -> None:
    """The sentence, the hint and the kind go out; a client is told when to ask again where waiting helps."""
    if issubclass(kind, errors.StateError):
        error: errors.SessionlibError = kind("words", session_dir=HERE, hint="do this")
    elif kind is errors.RecordNotFoundError:
        error = errors.RecordNotFoundError("project", "shup", nearest=("shop",))
    elif kind is errors.StoppingError:
        error = errors.StoppingError()
    else:
        error = kind("words", hint="do this")
    told = RequestError.of(error)
    assert told.status == EXPECTED[kind]
    assert json.loads(told.body()) == {"error": error.message, "hint": error.hint, "kind": kind.__name__}
    assert ("Retry-After" in told.headers) == (told.status == 503)


def test_values_become_json_that_everybody_reads() -> None:
    """Times are UTC with a Z, ids and paths texts, dataclasses and tuples what they hold."""
    there = datetime(2026, 1, 5, 10, 30, tzinfo=timezone(timedelta(hours=1)))
    tree = json.loads(encode({"at": there, "id": UUID(int=1), "path": HERE, "rows": [counts(written=2)]}))
    assert tree["at"] == iso(there) == "2026-01-05T09:30:00Z"
    assert (tree["id"], tree["path"]) == (str(UUID(int=1)), "/p/a")
    assert (tree["rows"][0]["written"], tree["rows"][0]["problems"]) == (2, [])
    assert iso(None) is None


@pytest.mark.parametrize(
    "value", ["k\udce9", 2**70, {"when": datetime(2026, 1, 5, tzinfo=UTC), "s": "\udce9"}]
)
def test_what_the_fast_encoder_refuses_is_encoded_still(value: object) -> None:
    """A path that is not UTF-8 must not make a status unreadable."""
    found = json.loads(encode({"value": value, "counts": counts("/p/\udce9")}))
    assert found["counts"]["path"] == "/p/\udce9"
    if not isinstance(value, dict):
        assert found["value"] == value


def test_named_tuples_are_objects_in_rows() -> None:
    """A row keeps the names of its fields."""
    from sessiond.control.answers import plain_rows  # noqa: PLC0415 - beside its use

    assert plain_rows([Finding("k", "s", "m"), 5]) == [{"kind": "k", "subject": "s", "message": "m"}, 5]
