"""Edits of the build's progress, in the place of the document that is believed."""

from typing import Any

from sessionlib.state.draft import Draft
from sessionlib.state.progress import (
    COMPLETED,
    CURRENT,
    MOST_CHECKPOINTS,
    TOTAL,
    place_of,
)


def initialise(draft: Draft, total: int, *, reset: bool) -> None:
    """Say how many checkpoints there are; what is completed stays completed, unless `reset`.

    Raises:
        StateRefusedError: The total is out of range, or less than what is completed.
    """
    if not _is_count(total) or total > MOST_CHECKPOINTS:
        message = f"a build has 1 to {MOST_CHECKPOINTS:,} checkpoints, not {total!r}"
        raise draft.refuse(message)
    done = () if reset else draft.content.checkpoints_completed_ids
    if done and done[-1] > total:
        message = f"checkpoint {done[-1]} is completed, so {total} cannot be all there are"
        raise draft.refuse(message, "reset the progress to begin again")
    place = draft.section(place_of(draft.document))
    place[TOTAL] = total
    if reset or place.get(COMPLETED) is None:
        place[COMPLETED] = list(done)
    current = None if reset else draft.content.current_checkpoint
    if current is None or current in done or not 1 <= current <= total:
        current = _next(done, total, after=0)
    _set_current(draft, place, current)


def start(draft: Draft, number: int) -> None:
    """Make a checkpoint the current one.

    Raises:
        StateRefusedError: There is no such checkpoint, or it is completed.
    """
    _total(draft, number)
    if number in draft.content.checkpoints_completed_ids:
        message = f"checkpoint {number} is completed already"
        raise draft.refuse(message, "start the next one, or reset the progress to begin again")
    _set_current(draft, draft.section(place_of(draft.document)), number)


def complete(draft: Draft, number: int) -> None:
    """Complete a checkpoint; one that is completed already is no change.

    The current one becomes the lowest not completed after it, else the lowest not completed, else none.

    Raises:
        StateRefusedError: There is no such checkpoint.
    """
    total = _total(draft, number)
    if number in draft.content.checkpoints_completed_ids:
        return
    done = tuple(sorted((*draft.content.checkpoints_completed_ids, number)))
    place = draft.section(place_of(draft.document))
    listed = place.get(COMPLETED)
    if isinstance(listed, list) and not all(_is_count(item) for item in listed):
        listed.append(number)  # entries we cannot read as numbers are somebody's; they stay
    else:
        place[COMPLETED] = list(done)
    _set_current(draft, place, _next(done, total, after=number))


def _total(draft: Draft, number: int) -> int:
    """Return the number of checkpoints, the given one being among them."""
    total = draft.content.checkpoints_total
    if not total:
        message = "the session has no checkpoints yet"
        hint = "say first how many there are: sessionctl session checkpoint SESSION init TOTAL"
        raise draft.refuse(message, hint)
    if not _is_count(number) or number > total:
        message = f"there is no checkpoint {number!r}; they are 1 to {total}"
        raise draft.refuse(message)
    return total


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _next(done: tuple[int, ...], total: int, *, after: int) -> int | None:
    left = sorted(set(range(1, total + 1)).difference(done))
    return next((number for number in left if number > after), left[0] if left else None)


def _set_current(draft: Draft, place: dict[str, Any], number: int | None) -> None:
    place[CURRENT] = number
    phases = draft.document.get("phases")
    build = phases.get("build") if isinstance(phases, dict) else None
    # Some v1 documents keep a second copy there, which only ever went stale.
    if isinstance(build, dict) and CURRENT in build:
        build[CURRENT] = number
