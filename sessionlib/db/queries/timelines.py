"""The timeline of a session: its phases, commits and decisions, and what agents did for it."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, select

from sessionlib.db import tables
from sessionlib.db.queries.agent_lists import MAIN_TYPE
from sessionlib.db.queries.scoping import Listing, scope
from sessionlib.models import Happening, TimelineEntry

_STARTED, _COMPLETED = "_started_at", "_completed_at"
_RANKS = {kind: rank for rank, kind in enumerate(Happening)}
_S: Any = tables.sessions.c
_V: Any = tables.session_versions.c
_A: Any = tables.agents.c
_C: Any = tables.conversations.c
_L: Any = tables.conversation_links.c
_K: Any = tables.tool_calls.c


class _Key(NamedTuple):
    project_id: Any
    session_id: Any

    def of(self, table: Any) -> Any:
        """Return the condition that a row belongs to the session."""
        return and_(table.project_id == self.project_id, table.session_id == self.session_id)


def timeline(
    connection: Connection,
    session: str,
    *,
    project: str | None = None,
    since: datetime | None = None,
    limit: int = 200,
) -> Listing:
    """Return what happened to a session, and in it, as `TimelineEntry`, in the order of time.

    Args:
        connection: Open for reading.
        session: Its slug, a part of it, declared id or id.
        project: Its project's slug, alias or id.
        since: At this moment or later.
        limit: At most so many, the last ones.

    Raises:
        RecordNotFoundError: There is no such project or session; the nearest names are its hint.
        UsageError: Several sessions fit.
    """
    found = scope(connection, project, session)
    key = _Key(found.project_id, found.session_id)
    entries = [
        entry
        for part in (_phases, _parts, _conversations, _agents, _failed_calls)
        for entry in part(connection, key)
        if since is None or entry.at >= since
    ]
    entries.sort(key=_order)
    return Listing(entries[-limit:], len(entries) > limit)


def _order(entry: TimelineEntry) -> tuple[object, ...]:
    """Return what two entries are compared by; the same on every database, whatever happened at once."""
    return entry.at, _RANKS[entry.kind], entry.subject, entry.detail or "", str(entry.agent_id)


def _phases(connection: Connection, key: _Key) -> Iterator[TimelineEntry]:
    """Yield the phases as the document dates them; those that it does not, as their versions were seen."""
    history: Mapping[str, str] = connection.scalar(select(_S.phase_history).where(key.of(_S))) or {}
    dated = set()
    for name, at in history.items():
        for suffix, status in ((_STARTED, "started"), (_COMPLETED, "completed")):
            if name.endswith(suffix):
                phase = name.removesuffix(suffix)
                dated.add(phase)
                yield TimelineEntry(
                    at=datetime.fromisoformat(at), kind=Happening.PHASE, subject=phase, status=status
                )
    rows = connection.execute(select(_V.phase, _V.status, _V.at).where(key.of(_V)).order_by(_V.seq))
    before: tuple[str | None, str | None] | None = None
    for phase, status, at in rows:
        if (phase, status) != before and phase is not None:
            entered = before is None or before[0] != phase
            if not (entered and phase in dated):
                said = "started" if entered else status
                yield TimelineEntry(at=at, kind=Happening.PHASE, subject=phase, status=said)
        before = phase, status


def _parts(connection: Connection, key: _Key) -> Iterator[TimelineEntry]:
    commit, decision = tables.commits.c, tables.decisions.c
    committed = connection.execute(
        select(commit.created_at, commit.sha, commit.message, commit.checkpoint)
        .where(key.of(commit), commit.created_at.is_not(None))
        .order_by(commit.position)
    )
    last: dict[int, datetime] = {}
    for at, sha, message, checkpoint in committed:
        said = None if checkpoint is None else f"checkpoint {checkpoint}"
        if checkpoint is not None:
            last[checkpoint] = max(at, last.get(checkpoint, at))
        yield TimelineEntry(at=at, kind=Happening.COMMIT, subject=sha, status=said, detail=message)
    yield from _checkpoints(connection, key, last)
    decided = connection.execute(
        select(decision.decided_at, decision.title, decision.rationale)
        .where(key.of(decision), decision.decided_at.is_not(None))
        .order_by(decision.position)
    )
    for at, title, why in decided:
        yield TimelineEntry(at=at, kind=Happening.DECISION, subject=title, detail=why)


def _checkpoints(connection: Connection, key: _Key, last: Mapping[int, datetime]) -> Iterator[TimelineEntry]:
    """Yield the checkpoints that are completed, each at its last commit: nobody notes the time."""
    table = tables.checkpoints.c
    done = connection.execute(select(table.number, table.title).where(key.of(table), table.completed))
    for number, title in done:
        if number in last:
            yield TimelineEntry(
                at=last[number],
                kind=Happening.CHECKPOINT,
                subject=str(number),
                status="completed",
                detail=title,
            )


def _conversations(connection: Connection, key: _Key) -> Iterator[TimelineEntry]:
    rows = connection.execute(
        select(
            _C.conversation_id, _C.native_id, _C.title, _C.started_at, _C.ended_at, _C.status, _C.end_reason
        )
        .where(
            _C.project_id == key.project_id,
            _C.conversation_id.in_(select(_L.conversation_id).where(key.of(_L))),
        )
        .order_by(_C.started_at)
    )
    for conversation_id, native_id, title, started_at, ended_at, status, reason in rows:
        yield TimelineEntry(
            at=started_at,
            kind=Happening.CONVERSATION_STARTED,
            subject=native_id,
            detail=title,
            conversation_id=conversation_id,
        )
        if ended_at is not None:
            yield TimelineEntry(
                at=ended_at,
                kind=Happening.CONVERSATION_ENDED,
                subject=native_id,
                status=status,
                detail=reason,
                conversation_id=conversation_id,
            )


def _agents(connection: Connection, key: _Key) -> Iterator[TimelineEntry]:
    """Yield when spawned agents began and ended, and when main ones failed: else they are conversations."""
    rows = connection.execute(
        select(
            _A.agent_id,
            _A.conversation_id,
            _A.native_id,
            _A.kind,
            _A.agent_type,
            _A.started_at,
            _A.ended_at,
            _A.status,
            _A.task,
            _A.error,
        ).where(key.of(_A))
    )
    for agent in rows:
        ids: dict[str, Any] = {"agent_id": agent.agent_id, "conversation_id": agent.conversation_id}
        is_main = agent.kind == "main"
        name = MAIN_TYPE if is_main else agent.agent_type or agent.native_id
        if agent.started_at is not None and not is_main:
            yield TimelineEntry(
                at=agent.started_at, kind=Happening.AGENT_STARTED, subject=name, detail=agent.task, **ids
            )
        at = agent.ended_at or (agent.started_at if agent.status == "failed" else None)
        if at is not None and (not is_main or agent.status == "failed"):
            yield TimelineEntry(
                at=at,
                kind=Happening.AGENT_ENDED,
                subject=name,
                status=agent.status,
                detail=agent.error,
                **ids,
            )


def _failed_calls(connection: Connection, key: _Key) -> Iterable[TimelineEntry]:
    rows = connection.execute(
        select(_K.called_at, _K.ended_at, _K.tool_name, _K.outcome, _K.error, _K.conversation_id, _K.agent_id)
        .join(tables.agents, and_(_A.project_id == _K.project_id, _A.agent_id == _K.agent_id))
        .where(key.of(_A), _K.outcome == "failed")
    )
    for row in rows:
        at = row.ended_at or row.called_at
        if at is not None:
            yield TimelineEntry(
                at=at,
                kind=Happening.CALL_FAILED,
                subject=row.tool_name,
                status=row.outcome,
                detail=row.error,
                conversation_id=row.conversation_id,
                agent_id=row.agent_id,
            )
