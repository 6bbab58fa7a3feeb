"""What the reconcile thread is to do, and when: without a thread, a lock or a clock of its own.

A plan is known by its sessions root and its lane. Lanes keep apart what must not replace each other: the
look that confirms an absence must come after its five seconds, the one that believes a mass disappearance
because somebody has accepted it does no less, the timer goes on whatever is asked for, and a retry plans
nothing but itself.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Generic, TypeVar

EVERYTHING = Path()
"""Stands for all roots in a plan."""

A = TypeVar("A")


class Lane(StrEnum):
    """Why a comparison is planned."""

    SOON = "soon"
    CONFIRM = "confirm"
    ACCEPTED = "accepted"
    TIMER = "timer"
    RETRY = "retry"


_DOUBTFUL = frozenset({Lane.SOON, Lane.RETRY})
"""Plans that exist because files may differ from the mirror."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One planned comparison: of which root, why, when it is due, and since when it has been wanted."""

    root: Path
    lane: Lane
    reason: str
    due: float
    since: float

    @property
    def doubted(self) -> float | None:
        """Since when files have been in doubt for which this is planned; None for what is mere routine."""
        return self.since if self.lane in _DOUBTFUL else None


class Agenda(Generic[A]):
    """The plans, and the questions that people have asked, which go first. The caller holds a lock."""

    def __init__(self) -> None:
        self._plans: dict[tuple[Path, Lane], Plan] = {}
        self._asked: list[A] = []

    def plan(self, plan: Plan) -> None:
        """Add a plan; one for the same root and lane keeps its time, since it comes first.

        But the look that believes takes the last time asked for, and the place of one that would not.
        """
        believing = self._plans.get((plan.root, Lane.ACCEPTED))
        if plan.lane is Lane.CONFIRM and believing is not None and plan.due <= believing.due:
            return  # that one confirms as well, and plans another look at what went after it was accepted
        known = self._plans.setdefault((plan.root, plan.lane), plan)
        if plan.lane is Lane.ACCEPTED:
            self._plans.pop((plan.root, Lane.CONFIRM), None)
            known = self._plans[plan.root, plan.lane] = replace(known, due=max(known.due, plan.due))
        if plan.since < known.since:
            self._plans[plan.root, plan.lane] = replace(known, since=plan.since)

    def ask(self, question: A) -> None:
        """Add a question."""
        self._asked.append(question)

    @property
    def is_asked(self) -> bool:
        """Whether a question waits."""
        return bool(self._asked)

    def take_asked(self) -> A | None:
        """Take the oldest question, if there is one."""
        return self._asked.pop(0) if self._asked else None

    def take_due(self, now: float) -> Plan | None:
        """Take the plan that is due first, if one is due."""
        first = min(self._plans.values(), key=lambda plan: plan.due, default=None)
        if first is None or first.due > now:
            return None
        return self._plans.pop((first.root, first.lane))

    def next_due(self) -> float | None:
        """Return when the next plan is due."""
        return min((plan.due for plan in self._plans.values()), default=None)

    def has(self, root: Path, lane: Lane) -> bool:
        """Tell whether such a plan waits."""
        return (root, lane) in self._plans

    def doubtful_since(self) -> float | None:
        """Return since when files have been in doubt, by the oldest plan that waits for that reason."""
        doubts = (plan.doubted for plan in self._plans.values())
        return min((since for since in doubts if since is not None), default=None)

    def clear(self) -> list[A]:
        """Forget everything; return the questions that were not answered."""
        asked, self._asked = self._asked, []
        self._plans.clear()
        return asked
