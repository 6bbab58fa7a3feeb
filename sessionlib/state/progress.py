"""How far the build is: totals and completed checkpoints from whichever place of the document has them.

Three places can speak: ``build_progress`` (v2), ``plan_state`` (v1) and plan.json. Hybrids carry two of them,
because a v2 file made from the template is often filled in by hands that know the v1 names.
"""

from dataclasses import dataclass
from typing import Any

from sessionlib.state.coerce import Notes, entries, integer, is_remark, mapping
from sessionlib.state.content import Checkpoint

V2_PLACE = "build_progress"
V1_PLACE = "plan_state"
TOTAL, COMPLETED, CURRENT = "checkpoints_total", "checkpoints_completed", "current_checkpoint"

MOST_CHECKPOINTS = 1_000
"""How many checkpoint rows one document may ask for."""

_UNHEARD = Notes()  # a plan's numbers are a help, not a promise: what is odd about them is not told
_TITLE_KEYS = ("title", "name")
_NUMBER_KEYS = ("id", "number", "checkpoint_id")


@dataclass(frozen=True, slots=True)
class Progress:
    """What the places say together; see `SessionContent` for the meanings."""

    total: int | None
    source: str | None
    completed: tuple[int, ...]
    current: int | None


@dataclass(frozen=True, slots=True)
class PlanOutline:
    """The checkpoints of plan.json: how many (None without a list), and their titles by number."""

    count: int | None
    titles: dict[int, str]


def place_of(state: dict[str, Any]) -> str:
    """Name the place that is believed, which is also the one to edit.

    An untouched ``build_progress`` (as the template has it: nothing declared, nothing done) gives way to a
    ``plan_state``.
    """
    declared = state.get(V2_PLACE)
    if isinstance(declared, dict) and any(declared.get(key) for key in (TOTAL, COMPLETED, CURRENT)):
        return V2_PLACE
    if isinstance(state.get(V1_PLACE), dict):
        return V1_PLACE
    return V2_PLACE if declared is not None or "phase_history" in state else V1_PLACE


def read_progress(state: dict[str, Any], plan: PlanOutline, notes: Notes) -> Progress:
    """Resolve total, completed and current, each on its own."""
    first = place_of(state)
    second = V1_PLACE if first == V2_PLACE else V2_PLACE
    places = [(name, mapping(state.get(name), notes, name)) for name in (first, second)]
    completed = _completed(places, notes)
    total, source = _total(places, plan, len(completed), notes)
    return Progress(total, source, completed, _current(state, places, notes))


def _completed(places: list[tuple[str, dict[str, Any]]], notes: Notes) -> tuple[int, ...]:
    for name, place in places:
        value = place.get(COMPLETED)
        if value is not None:
            return _numbers(value, f"{name}.{COMPLETED}", notes)
    return ()


def _numbers(value: object, path: str, notes: Notes) -> tuple[int, ...]:
    if isinstance(value, (int, float, str)):
        count = integer(value, notes, path)
        if count is None:
            return ()
        notes.add(path, "is a count; taken as the first ones")
        return tuple(range(1, min(count, MOST_CHECKPOINTS) + 1))
    found = set()
    for position, item in enumerate(entries(value, notes, path)):
        number = integer(item, notes, f"{path}[{position}]")
        if number is not None and number > 0:
            found.add(number)
        elif number is not None:
            notes.add(f"{path}[{position}]", "is not positive")
    return tuple(sorted(found))


def _total(
    places: list[tuple[str, dict[str, Any]]], plan: PlanOutline, done: int, notes: Notes
) -> tuple[int | None, str | None]:
    """Take the first total that can be true: never less than is done."""
    declared = [integer(place.get(TOTAL), notes, f"{name}.{TOTAL}") for name, place in places]
    for number in declared:
        if number and number >= max(done, 1):
            return number, "declared"
    if plan.count and plan.count >= done:
        return plan.count, "plan"
    if 0 in declared and not done:
        return 0, "declared"
    if any(number is not None for number in declared):
        notes.add(TOTAL, f"is declared, but less than the {done:,} completed")
    return None, None


def _current(state: dict[str, Any], places: list[tuple[str, dict[str, Any]]], notes: Notes) -> int | None:
    for name, place in places:
        # Present and null means "none is current", and is believed.
        if CURRENT in place:
            return integer(place[CURRENT], notes, f"{name}.{CURRENT}")
    phases = state.get("phases")
    build = phases.get("build") if isinstance(phases, dict) else None
    value = build.get(CURRENT) if isinstance(build, dict) else None
    return integer(value, notes, f"phases.build.{CURRENT}")


def outline(plan: dict[str, Any] | None) -> PlanOutline:
    """Read the checkpoints of plan.json (``tranches`` in older ones); its statuses are not to be trusted."""
    if plan is None:
        return PlanOutline(None, {})
    listed = next((plan[key] for key in ("checkpoints", "tranches") if isinstance(plan.get(key), list)), None)
    if listed is None:
        return PlanOutline(None, {})
    items = [item for item in listed if item is not None and not is_remark(item)]
    numbers = [_own_number(item) for item in items]
    if len(set(numbers)) < len(numbers) or any(number is None or number < 1 for number in numbers):
        numbers = list(range(1, len(items) + 1))
    titles = {}
    for number, item in zip(numbers, items, strict=True):
        title = _title(item)
        if number is not None and title is not None:
            titles[number] = title
    return PlanOutline(len(items), titles)


def _own_number(item: object) -> int | None:
    if isinstance(item, dict):
        for key in _NUMBER_KEYS:
            if key in item:
                return integer(item[key], _UNHEARD, key)
    return None


def _title(item: object) -> str | None:
    if isinstance(item, dict):
        for key in _TITLE_KEYS:
            title = item.get(key)
            if title and isinstance(title, str):
                return title
    return item if isinstance(item, str) else None


def list_checkpoints(progress: Progress, plan: PlanOutline, notes: Notes) -> tuple[Checkpoint, ...]:
    """Return one checkpoint for each number up to the total, and for each completed one beyond it."""
    total = progress.total or 0
    numbers = [
        *range(1, min(total, MOST_CHECKPOINTS) + 1),
        *(number for number in progress.completed if number > total),
    ]
    if total > MOST_CHECKPOINTS or len(numbers) > MOST_CHECKPOINTS:
        notes.add("checkpoints", f"are more than {MOST_CHECKPOINTS:,}; the rest have no rows")
    completed = frozenset(progress.completed)
    return tuple(
        Checkpoint(number, plan.titles.get(number), number in completed, number == progress.current)
        for number in numbers[:MOST_CHECKPOINTS]
    )
