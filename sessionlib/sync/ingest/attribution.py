"""Which session, phase and checkpoint a moment of a conversation is counted to. Pure.

A link says that a conversation, or one agent in it, works on a session from then on, until the next one. In
the session, the phase is the one that its history says for that moment; a checkpoint is worked on until the
first commit for it, and after the last commit it is the current one.
"""

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sessionlib.db.execution_rows import ConversationLinkRow

_STARTED, _COMPLETED = "_started_at", "_completed_at"


class Work(NamedTuple):
    """What a session says of its own course.

    Attributes:
        session_id: The session.
        phases: When it entered each phase, in order.
        commits: When it committed, and for which checkpoint, in order.
        phase: Where it stands now.
        checkpoint: On which checkpoint it works now.
    """

    session_id: UUID
    phases: tuple[tuple[datetime, str], ...]
    commits: tuple[tuple[datetime, int | None], ...]
    phase: str | None
    checkpoint: int | None


class Counted(NamedTuple):
    """What a moment is counted to."""

    session_id: UUID | None
    phase: str | None
    checkpoint: int | None


NOWHERE = Counted(None, None, None)


def work_of(
    session_id: UUID,
    history: Mapping[str, str],
    commits: Sequence[tuple[datetime, int | None]],
    phase: str | None,
    checkpoint: int | None,
) -> Work:
    """Return a session's course; `history` has ISO times by ``<phase>_started_at``, as it is stored."""
    times = {name: datetime.fromisoformat(at) for name, at in history.items()}
    phases = [(at, name.removesuffix(_STARTED)) for name, at in times.items() if name.endswith(_STARTED)]
    ends = [at for name, at in times.items() if name.endswith(_COMPLETED)]
    if phase == "complete" and ends:
        phases.append((max(ends), phase))
    return Work(session_id, tuple(sorted(phases)), tuple(sorted(commits, key=_time)), phase, checkpoint)


def _time(entry: tuple[datetime, int | None]) -> tuple[datetime, int]:
    return entry[0], entry[1] or 0


class Attribution:
    """The stretches of a conversation, and the courses of the sessions in them.

    Args:
        links: Of one conversation; per agent they do not overlap.
        works: Of the sessions that are linked.
    """

    def __init__(self, links: Sequence[ConversationLinkRow], works: Mapping[UUID, Work]) -> None:
        self._links: dict[str, list[ConversationLinkRow]] = {}
        for link in sorted(links, key=lambda link: link.linked_at):
            self._links.setdefault(link.agent_native_id, []).append(link)
        self._starts = {agent: [one.linked_at for one in some] for agent, some in self._links.items()}
        self._works = works

    @property
    def digest(self) -> str:
        """The same for two that count every moment to the same."""
        said = repr([self._links, sorted(self._works.items())])
        return hashlib.sha256(said.encode()).hexdigest()[:32] if self._links else ""

    def at(self, moment: datetime, agent: str) -> Counted:
        """Return what a moment of an agent, by its native id, is counted to."""
        for whose in (agent, "") if agent else ("",):
            place = bisect_right(self._starts.get(whose, ()), moment) - 1
            if place < 0:
                continue
            link = self._links[whose][place]
            if link.until is not None and moment >= link.until:
                continue
            work = self._works.get(link.session_id)
            if work is None:
                return Counted(link.session_id, None, None)
            return _in(work, moment)
        return NOWHERE


def _in(work: Work, moment: datetime) -> Counted:
    starts = [at for at, _ in work.phases]
    place = bisect_right(starts, moment) - 1
    phase = work.phases[max(place, 0)][1] if work.phases else work.phase
    if phase != "build":
        return Counted(work.session_id, phase, None)
    place = bisect_left([at for at, _ in work.commits], moment)
    checkpoint = work.commits[place][1] if place < len(work.commits) else work.checkpoint
    return Counted(work.session_id, phase, checkpoint)


def stretches(
    owner: tuple[UUID, UUID],
    told: Sequence[tuple[str, datetime, UUID]],
    environment: tuple[datetime, UUID] | None,
    inferred: tuple[datetime, UUID] | None,
) -> list[ConversationLinkRow]:
    """Return the links of a conversation, each until the next one of the same agent.

    Args:
        owner: The ids of its project and of itself.
        told: What the sessions' documents say: agent ('' for all), time, session.
        environment: The session that its process was told, and since when.
        inferred: The one session that was active where it started, and since when. Holds until somebody says
            better.
    """
    found: dict[tuple[str, datetime], tuple[UUID, str]] = {}
    if environment is not None:
        found["", environment[0]] = environment[1], "environment"
    elif inferred is not None:
        found["", inferred[0]] = inferred[1], "inferred"
    for agent, at, session_id in sorted(told):
        found[agent, at] = session_id, "link"
    rows = []
    ordered = sorted(found.items())
    for index, ((agent, at), (session_id, source)) in enumerate(ordered):
        after = ordered[index + 1][0] if index + 1 < len(ordered) else None
        until = after[1] if after is not None and after[0] == agent else None
        rows.append(ConversationLinkRow(*owner, agent, at, until, session_id, source))
    return rows
