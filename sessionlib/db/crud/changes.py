"""What an update model asks to be written."""

from typing import Any

from sessionlib.models.base import Model

_SHOWN = 3
_SHORT = 3
_LIKE, _LIKE_SHORT = 0.7, 0.6
"""Twice the letters that two names share, in order, by all their letters."""


def set_fields(change: Model) -> dict[str, Any]:
    """Return only the fields the caller set, so that an explicit None writes NULL and silence nothing."""
    return {name: getattr(change, name) for name in change.model_fields_set}


def nearest(wanted: str, names: list[str]) -> tuple[str, ...]:
    """Return up to three names that the wanted one may be a slip of, best first; case does not count.

    About one letter in four may be wrong, one of three in the shortest names; or it is a part of the name.
    """
    # difflib is only needed for a message, and every command would pay for its import.
    from difflib import get_close_matches  # noqa: PLC0415

    folded: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        folded.setdefault(name.casefold(), []).append(name)
    sought = wanted.casefold()
    cutoff = _LIKE if len(sought) > _SHORT else _LIKE_SHORT
    close = get_close_matches(sought, list(folded), n=_SHOWN, cutoff=cutoff)
    inside = [name for name in folded if sought and sought in name]
    alike = dict.fromkeys([*close, *inside])
    return tuple(name for fold in alike for name in folded[fold])[:_SHOWN]
