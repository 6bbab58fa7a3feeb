"""Any order of file operations, kills, outages and clock steps: the mirror is a function of the files."""

import pytest

from tests.faults import anyorder
from tests.faults.ground import Ground

pytestmark = pytest.mark.timeout(180)


def test_any_order(ground: Ground, kind: str) -> None:
    """After each settling the oracle finds nothing, and a further pass writes nothing."""
    examples = 40 if kind == "sqlite" else 12
    assert anyorder.any_order(ground, kind, examples, 50).lost == 0
