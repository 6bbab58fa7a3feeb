"""Names that a wrong one may have meant."""

import pytest

from sessionlib.db.crud.changes import nearest


@pytest.mark.parametrize(
    ("wanted", "names", "found"),
    [
        ("shup", ["shop", "garden"], ("shop",)),
        ("commt", ["commit", "recent"], ("commit",)),
        ("apo", ["api", "web"], ("api",)),
        ("WAL", ["wall", "WALL"], ("wall", "WALL")),
        ("wall", ["2026-02-16_garden-wall", "walk"], ("walk", "2026-02-16_garden-wall")),
        ("garden", ["Warden", "wall"], ("Warden",)),
        ("s", ["shop", "search", "spec", "stats"], ("shop", "search", "spec")),
    ],
)
def test_slips_and_parts_find_what_was_meant(wanted: str, names: list[str], found: tuple[str, ...]) -> None:
    """A slip of the fingers, a name in another case, or a part of a name; at most three."""
    assert nearest(wanted, names) == found


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("shop", ["ship-it", "garden"]),
        ("client", ["recent"]),
        ("nobody", ["today"]),
        ("shop-api", ["shop-web"]),
        ("2026-01-05_search", ["2026-01-05_login"]),
        ("ab", ["ac"]),
        ("", ["shop"]),
        ("shop", []),
    ],
)
def test_another_name_is_no_slip(wanted: str, names: list[str]) -> None:
    """What merely shares some letters, or a date, is not offered."""
    assert nearest(wanted, names) == ()
