"""Drafts of one project on their way into the database, in one transaction under the project's lock."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from sessionlib.db import attributing, execution
from sessionlib.db.execution import PENDING, Stored, Wanted
from sessionlib.db.execution_rows import (
    AgentRow,
    ConversationLinkRow,
    ConversationRow,
    ToolCallRow,
)
from sessionlib.journal.facts import MAIN
from sessionlib.sync.ingest import attribution, drift, rowing
from sessionlib.sync.ingest.attribution import Attribution
from sessionlib.sync.ingest.belonging import Belonging, Identities
from sessionlib.sync.ingest.drafts import Draft
from sessionlib.sync.ingest.joining import Observed
from sessionlib.sync.ingest.rowing import Owner
from sessionlib.sync.ingest.spending import Price, Progress, Spending
from sessionlib.sync.ingest.standing import value

Key = tuple[str, str]
"""A client and a conversation's native id."""


@dataclass(slots=True)
class Batch:
    """Stores drafts of one project, once.

    Attributes:
        connection: Inside `Database.write`.
        project_id: The project, whose lock is held.
        host_id: The machine that new conversations are held on.
        known: The stored conversations.
        homes: Where new ones belong.
        price: Prices usage.
        is_due: Tells whether a conversation's links have not been looked for lately.
        is_settling: Whether sessions have changed, so that what is stored of links may no longer hold.
        rows: The conversations as they are to be stored.
        attributions: What their moments are counted to.
        recounts: Conversations of which each record is looked at, and how far that is done.
        unfinished: Those of which records are left that are counted as they were before, likewise. The caller
            settles them, in transactions of their own.
        agents: The agents as they are to be stored.
    """

    connection: Connection
    project_id: UUID
    host_id: UUID
    known: Mapping[Key, ConversationRow]
    homes: Mapping[Key, Belonging]
    price: Price
    is_due: Callable[[Key], bool]
    is_settling: bool = False
    rows: dict[UUID, ConversationRow] = field(default_factory=dict)
    attributions: dict[UUID, Attribution] = field(default_factory=dict)
    recounts: dict[UUID, Progress | None] = field(default_factory=dict)
    unfinished: dict[UUID, Progress | None] = field(default_factory=dict)
    agents: dict[UUID, AgentRow] = field(default_factory=dict)

    def store(self, drafts: Sequence[Draft]) -> None:
        """Write all that the drafts say, and what follows from it; none of a conversation twice."""
        owners = [(draft, self._conversation(draft)) for draft in drafts]
        execution.write(self.connection, "conversations", list(self.rows.values()))
        self._attribute([owner for _, owner in owners])
        stored = execution.stored(self.connection, self.project_id, _wanted(owners))
        calls = self._calls(owners, stored)
        self._agents(owners, stored, calls)
        execution.write(self.connection, "tool_calls", calls)
        logs = [rowing.log(owner, key, seen) for draft, owner in owners for key, seen in draft.logs.items()]
        execution.write_logs(self.connection, logs)
        todos = [
            rowing.todo(owner, key, seen, stored.todos.get((owner.conversation_id, key)))
            for draft, owner in owners
            for key, seen in draft.todos.items()
        ]
        execution.write(self.connection, "todos", todos)
        self._spend(owners, stored)
        self._conclude()

    # --- conversations -------------------------------------------------------------------------------

    def _conversation(self, draft: Draft) -> Owner:
        key = draft.client, draft.native_id
        known = self.known.get(key)
        home = rowing.belonging_of(known) if known is not None else self.homes[key]
        row, owner = rowing.conversation(draft, known, home, self.host_id)
        row = self._identified(row)
        self.rows[row.conversation_id] = row
        before = {} if known is None else known.observed
        found = drift.findings_of(draft.client, before, draft.observed, row.observed)
        drift.put(self.connection, self.project_id, found)
        return owner

    def _identified(self, row: ConversationRow) -> ConversationRow:
        """Return the row with the identity that the client's environment names, if it names one."""
        named = value(row.observed, "identity")
        if named is None or row.identity_source == "environment":
            return row
        found = Identities(self.connection).usable(named, "environment")
        return row if found is None else row._replace(identity_id=found, identity_source="environment")

    def _attribute(self, owners: Sequence[Owner]) -> None:
        """Find which sessions conversations worked on, and when."""
        before: dict[UUID, list[ConversationLinkRow]] = defaultdict(list)
        ids = [owner.conversation_id for owner in owners]
        for link in attributing.links_among(self.connection, self.project_id, ids):
            before[link.conversation_id].append(link)
        links = {
            owner.conversation_id: self._links(owner)
            if self._may_have_moved(owner)
            else before[owner.conversation_id]
            for owner in owners
        }
        for conversation_id, found in links.items():
            if found != before[conversation_id]:
                attributing.put_links(self.connection, (self.project_id, conversation_id), found)
        courses = attributing.courses(
            self.connection, self.project_id, {link.session_id for found in links.values() for link in found}
        )
        works = {
            one.session_id: attribution.work_of(
                one.session_id, one.history, one.commits, one.phase, one.checkpoint
            )
            for one in courses
        }
        stored = {row.conversation_id for row in self.known.values()}
        for conversation_id, found in links.items():
            mine = {link.session_id: works[link.session_id] for link in found if link.session_id in works}
            made = self.attributions[conversation_id] = Attribution(found, mine)
            if conversation_id in stored and made.digest != self.rows[conversation_id].attribution:
                # Of many records that takes longer than whoever brings new ones may hold the database.
                (self.recounts if self.is_settling else self.unfinished).setdefault(conversation_id, None)

    def _conclude(self) -> None:
        """Write by which attribution all records of conversations are counted, or that it is not one."""
        changed = []
        for conversation_id, made in self.attributions.items():
            row = self.rows[conversation_id]
            counted = PENDING if conversation_id in self.unfinished else made.digest
            if row.attribution != counted:
                self.rows[conversation_id] = row._replace(attribution=counted)
                changed.append(self.rows[conversation_id])
        execution.write(self.connection, "conversations", changed)

    def _may_have_moved(self, owner: Owner) -> bool:
        """Tell whether a conversation's links must be found anew; when a session changes it is settled."""
        row = self.rows[owner.conversation_id]
        known = self.known.get((row.client, row.native_id))
        if self.is_settling or known is None or self.is_due((row.client, row.native_id)):
            return True
        return any(known.observed.get(name) != owner.observed.get(name) for name in ("first", "session"))

    def _links(self, owner: Owner) -> list[ConversationLinkRow]:
        row = self.rows[owner.conversation_id]
        told = attributing.told_links(self.connection, self.project_id, row.client, row.native_id)
        return attribution.stretches(
            (self.project_id, owner.conversation_id),
            [(one.agent, one.at or row.started_at, one.session_id) for one in told],
            self._environment(row),
            self._inferred(row),
        )

    def _environment(self, row: ConversationRow) -> tuple[datetime, UUID] | None:
        named = row.observed.get("session")
        if named is None:
            return None
        found = attributing.session_of_slug(self.connection, self.project_id, named[1])
        return None if found is None else (row.started_at, found)

    def _inferred(self, row: ConversationRow) -> tuple[datetime, UUID] | None:
        """Return the one session that was active in the workspace when the conversation began."""
        if row.workspace_id is None:
            return None
        at = row.started_at
        found = attributing.active_sessions(self.connection, self.project_id, row.workspace_id, at, 2)
        return (at, found[0]) if len(found) == 1 else None

    # --- agents and calls ----------------------------------------------------------------------------

    def _agents(
        self, owners: Sequence[tuple[Draft, Owner]], stored: Stored, calls: Collection[ToolCallRow]
    ) -> None:
        """Write the agents that something was said of, and those whose end follows from it."""
        known = dict(stored.agents)
        moved = [owner.conversation_id for _, owner in owners if self._is_moved(owner)]
        known |= {row.agent_id: row for row in execution.agents_of(self.connection, self.project_id, moved)}
        made = {owner.conversation_id: draft.calls.keys() for draft, owner in owners if draft.calls}
        spawned = execution.spawned_by(self.connection, self.project_id, made)
        known |= {row.agent_id: row for row in spawned}
        said: dict[UUID, tuple[Owner, str, Observed]] = {}
        by_id = {owner.conversation_id: owner for _, owner in owners}
        for row in known.values():
            said[row.agent_id] = by_id[row.conversation_id], row.native_id, {}
        for draft, owner in owners:
            for native_id, seen in {MAIN: {}, **draft.agents}.items():
                said[owner.agent_id(native_id)] = owner, native_id, seen
        for agent_id, (owner, native_id, seen) in said.items():
            row = rowing.agent(owner, native_id, seen, known.get(agent_id))
            self.agents[agent_id] = self._placed(row, owner)
        self._adopt(calls)
        execution.write(self.connection, "agents", list(self.agents.values()))

    def _adopt(self, calls: Collection[ToolCallRow]) -> None:
        """Give agents whose spawning call is known better than their parent the one that made the call."""
        callers = {(row.conversation_id, row.tool_use_id): row.agent_id for row in calls}
        wanted = {agent_id: row for agent_id, row in self.agents.items() if rowing.is_child_of_call(row)}
        missing: dict[UUID, set[str]] = defaultdict(set)
        for row in wanted.values():
            if row.spawned_by and (row.conversation_id, row.spawned_by) not in callers:
                missing[row.conversation_id].add(row.spawned_by)
        callers |= execution.callers(self.connection, self.project_id, missing)
        for agent_id, row in wanted.items():
            caller = callers.get((row.conversation_id, row.spawned_by or ""))
            if caller is not None and caller != agent_id:
                self.agents[agent_id] = row._replace(
                    parent_agent_id=caller, parent_source=rowing.source_of_call(row)
                )

    def _is_moved(self, owner: Owner) -> bool:
        """Tell whether what is said of the conversation may say something of all its agents."""
        known = next(
            (row for row in self.known.values() if row.conversation_id == owner.conversation_id), None
        )
        if known is None:
            return False
        return (
            self._is_counted_from_the_start(owner.conversation_id)
            or any(
                known.observed.get(name) != owner.observed.get(name)
                for name in ("ended", "restarted", "abandoned", "phantom")
            )
            or known.status != owner.standing.status
        )

    def _is_counted_from_the_start(self, conversation_id: UUID) -> bool:
        """Tell whether all records are looked at anew, and these are the first; agents follow with those."""
        if conversation_id not in self.recounts:
            return False
        progress = self.recounts[conversation_id]
        return progress is None or progress.digest != self.attributions[conversation_id].digest

    def _placed(self, row: AgentRow, owner: Owner) -> AgentRow:
        at = row.last_activity_at if row.native_id == MAIN else row.started_at
        whole = self.rows[owner.conversation_id]
        counted = self.attributions[owner.conversation_id].at(at or whole.last_activity_at, row.native_id)
        return row._replace(session_id=counted.session_id, checkpoint_number=counted.checkpoint)

    def _calls(self, owners: Sequence[tuple[Draft, Owner]], stored: Stored) -> list[ToolCallRow]:
        return [
            rowing.call(owner, key, seen, stored.calls.get((owner.conversation_id, key)))
            for draft, owner in owners
            for key, seen in draft.calls.items()
        ]

    # --- usage ---------------------------------------------------------------------------------------

    def _spend(self, owners: Sequence[tuple[Draft, Owner]], stored: Stored) -> None:
        """Write what was used; then what that changes for conversations that nothing is said of."""
        spending = Spending(
            self.connection,
            self.project_id,
            self.price,
            self.rows,
            self.attributions,
            self.agents,
            self.recounts,
        )
        spending.store(owners, stored)
        self.unfinished |= spending.unfinished
        others = execution.conversations_by_id(self.connection, self.project_id, spending.others)
        if others:
            known = {(row.client, row.native_id): row for row in others.values()}
            again = replace(
                self,
                known=known,
                rows={},
                attributions={},
                recounts={},
                unfinished={},
                agents={},
                is_settling=False,
            )
            again.store([Draft(*key) for key in known])
            self.unfinished |= again.unfinished


def _wanted(owners: Sequence[tuple[Draft, Owner]]) -> Wanted:
    messages: dict[str, set[str]] = defaultdict(set)
    for draft, _ in owners:
        messages[draft.client] |= draft.usage.keys()
    return Wanted(
        conversations=[owner.conversation_id for _, owner in owners],
        agents={owner.agent_id(native_id) for draft, owner in owners for native_id in (MAIN, *draft.agents)},
        calls={owner.conversation_id: draft.calls.keys() for draft, owner in owners},
        messages=messages,
        todos={owner.conversation_id: draft.todos.keys() for draft, owner in owners},
    )
