"""What is owed: since when, what counts as behind, and what is news."""

from pathlib import Path

from sessionlib.sync.owed import Owed

A, B = Path("/r/a"), Path("/r/b")


def test_an_unreadable_folder_is_owed_but_not_behind() -> None:
    """The mirror equals what can be read, so only readable folders make it old."""
    owed = Owed()
    owed.add(A, "permission denied", since=1.0, unreadable=True)
    assert (len(owed), owed.behind, owed.oldest) == (1, 0, None)
    owed.add(B, "deadlock", since=2.0, unreadable=False)
    assert (len(owed), owed.behind, owed.oldest) == (2, 1, 2.0)
    assert dict(owed) == {A: "permission denied", B: "deadlock"}


def test_a_debt_keeps_its_age_and_another_error_is_news() -> None:
    """A folder given up again is owed since the first time; the same words are told once."""
    owed = Owed()
    assert owed.add(A, "deadlock", since=1.0, unreadable=False)
    assert not owed.add(A, "deadlock", since=9.0, unreadable=False)
    assert owed.add(A, "disk full", since=9.0, unreadable=False)
    assert owed.oldest == 1.0
    owed.settle(A)
    owed.settle(A)
    assert (len(owed), owed.oldest) == (0, None)
