"""How long is waited after a turn that failed."""

import pytest

from sessiond.tracking.patience import FIRST, MOST, OUTAGE_MOST, Patience
from sessionlib.errors import (
    DatabaseBusyError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    RowRejectedError,
    SchemaMismatchError,
    SchemaMissingError,
)

OUTAGES = [
    DatabaseUnavailableError,
    DatabaseBusyError,
    DatabaseRefusedError,
    SchemaMismatchError,
    SchemaMissingError,
]
LASTING = [RowRejectedError, ValueError]


@pytest.mark.parametrize("kind", OUTAGES)
def test_an_outage_is_tried_again_soon(kind: type[Exception]) -> None:
    """However long it lasts: what waits is stored soon after its end."""
    patience = Patience()
    waits = [patience.failed(kind("away")) for _ in range(10)]
    assert waits[:3] == [FIRST, 2 * FIRST, OUTAGE_MOST]
    assert set(waits[3:]) == {OUTAGE_MOST}
    assert patience.is_outage


@pytest.mark.parametrize("kind", LASTING)
def test_what_may_last_for_ever_is_tried_ever_more_slowly(kind: type[Exception]) -> None:
    """A refusal of one row, or a defect."""
    patience = Patience()
    waits = [patience.failed(kind("refused")) for _ in range(10)]
    assert waits[:5] == [FIRST * 2**turn for turn in range(5)]
    assert set(waits[5:]) == {MOST}
    assert not patience.is_outage


def test_an_outage_after_something_else_is_tried_again_soon() -> None:
    """The waits of one kind are not those of the other."""
    patience = Patience()
    for _ in range(10):
        patience.failed(RowRejectedError("refused"))
    assert patience.failed(DatabaseUnavailableError("away")) == OUTAGE_MOST
    assert patience.is_outage


def test_a_turn_that_comes_to_its_end_is_a_new_beginning() -> None:
    """The next failure is waited for as the first one was."""
    patience = Patience()
    for _ in range(4):
        patience.failed(RowRejectedError("refused"))
    patience.succeeded()
    assert patience.is_outage
    assert patience.failed(RowRejectedError("refused")) == FIRST
