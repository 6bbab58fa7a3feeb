"""What an update model asks to be written."""

from typing import Any

from sessionlib.models.base import Model


def set_fields(change: Model) -> dict[str, Any]:
    """Return only the fields the caller set, so that an explicit None writes NULL and silence nothing."""
    return {name: getattr(change, name) for name in change.model_fields_set}


def nearest(wanted: str, names: list[str]) -> tuple[str, ...]:
    """Return up to three names that look like the wanted one, best first."""
    # difflib is only needed for a message, and every command would pay for its import.
    from difflib import get_close_matches  # noqa: PLC0415

    close = get_close_matches(wanted, names, n=3, cutoff=0.5)
    inside = [name for name in names if wanted and wanted.lower() in name.lower()]
    return tuple(dict.fromkeys([*close, *inside]))[:3]
