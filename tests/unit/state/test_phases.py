"""Which phase may follow which."""

import pytest

from sessionlib.models.base import Phase, SessionType
from sessionlib.state.phases import TABLE, allowed

S, P, B, D, C = "spec", "plan", "build", "docs", "complete"


@pytest.mark.parametrize(
    ("session_type", "current", "expected"),
    [
        ("full", None, (S,)),
        ("full", S, (P,)),
        ("full", P, (B, S)),
        ("full", B, (D, C, P)),
        ("full", D, (C, B)),
        ("full", C, (B, D)),
        ("quick", None, (P, B)),
        ("quick", S, (P, B, C)),
        ("quick", P, (B, C)),
        ("quick", B, (D, C, P)),
        ("quick", D, (C, B)),
        ("quick", C, (B, D)),
        ("research", None, (S,)),
        ("research", S, (C,)),
        ("research", C, (S,)),
        ("research", B, (D, C, P)),
        (None, S, (P,)),
        ("feature", S, (P,)),
        ("full", "implementation", (S, P, B, D, C)),
    ],
)
def test_table(session_type: str | None, current: str | None, expected: tuple[str, ...]) -> None:
    """The ways of each type, the usual one first."""
    assert allowed(session_type, current) == expected


def test_every_session_can_be_finished() -> None:
    """From each phase of each type there is a way to complete, and none leads to the phase itself."""
    for session_type in SessionType:
        assert set(TABLE[session_type]) == {None, *Phase}
        for begin in (None, *Phase):
            reached = {begin}
            for _ in Phase:
                reached |= {after for phase in reached for after in allowed(session_type, phase)}
            assert C in reached
            assert begin not in allowed(session_type, begin)
