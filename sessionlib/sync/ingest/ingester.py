"""Storing drafts: in one transaction for each batch, under the locks of the projects it is about."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from sessionlib.db import attributing, execution
from sessionlib.db.crud import hosts
from sessionlib.db.engine import Database
from sessionlib.db.execution import Stored, Wanted
from sessionlib.db.execution_rows import AgentRow, ClientCostRow, ConversationRow, CursorRow, UsageRow
from sessionlib.journal.facts import MAIN
from sessionlib.sync.ingest import attribution, rowing, totals
from sessionlib.sync.ingest.attribution import Attribution
from sessionlib.sync.ingest.belonging import Belonging, Identities, belonging
from sessionlib.sync.ingest.drafts import Draft
from sessionlib.sync.ingest.joining import Observed
from sessionlib.sync.ingest.owners import Owners
from sessionlib.sync.ingest.rowing import Owner
from sessionlib.sync.ingest.standing import value
from sessionlib.sync.registrar import Host

Key = tuple[str, str]
"""A client and a conversation's native id."""

StartedIn = Callable[[str, str | None, str | None], str | None]
"""Tells, for a client, from a transcript's path and a folder in which a conversation started."""

Price = Callable[[UsageRow], UsageRow]
"""Returns a record with what it cost."""

_KNOWN = 10_000


class Ingested(NamedTuple):
    """What became of a batch: conversations that were stored, and those of which too little is known yet."""

    stored: int
    unplaced: frozenset[Key]


class Ingester:
    """Stores what journals say; used by one thread at a time.

    Args:
        database: With the current schema.
        owners: Finds the projects of folders.
        host: The machine whose journals these are.
        price: Prices usage.
        started_in: Tells where conversations started.
    """

    def __init__(
        self,
        database: Database,
        owners: Owners,
        host: Host,
        *,
        price: Price,
        started_in: StartedIn,
    ) -> None:
        self._database = database
        self._owners = owners
        self._host = host
        self._price = price
        self._started_in = started_in
        self._placed: dict[Key, None] = {}
        self._is_registered = False

    def store(self, drafts: Iterable[Draft], cursors: Sequence[CursorRow] = ()) -> Ingested:
        """Store drafts, no conversation twice, and how far their journals were read, in one transaction.

        A conversation of which nothing is stored and nothing with a time is said cannot be stored yet.

        Raises:
            DatabaseError: Nothing was stored.
        """
        wanted = {(draft.client, draft.native_id): draft for draft in drafts}
        homes = self._homes(wanted)
        with self._database.write() as connection:
            if not self._is_registered:
                hosts.ensure(connection, self._host.host_id, self._host.name)
            known = execution.conversations(connection, wanted)
            execution.lock_projects(connection, _projects(known, homes))
            if self._database.is_postgres:
                # Another daemon may have been first while this one waited for the lock.
                known = execution.conversations(connection, wanted)
            groups: dict[UUID, list[Draft]] = defaultdict(list)
            unplaced = set()
            for key, draft in wanted.items():
                place = known.get(key) or homes.get(key)
                if place is None:
                    unplaced.add(key)
                else:
                    groups[place.project_id].append(draft)
            for project_id, group in groups.items():
                self._batch(connection, project_id, known, homes).store(group)
            execution.put_cursors(connection, cursors)
        self._is_registered = True
        self._keep(wanted.keys() - unplaced)
        return Ingested(len(wanted) - len(unplaced), frozenset(unplaced))

    def settle(self, project_id: UUID, conversation_ids: Collection[UUID]) -> int:
        """Count the usage of conversations anew, after sessions they may have worked on have changed.

        Raises:
            DatabaseError: Nothing was stored.
        """
        if not conversation_ids:
            return 0
        with self._database.write() as connection:
            execution.lock_projects(connection, [project_id])
            rows = execution.conversations_by_id(connection, project_id, conversation_ids).values()
            known = {(row.client, row.native_id): row for row in rows}
            drafts = [Draft(*key) for key in known]
            self._batch(connection, project_id, known, {}).store(drafts)
        return len(known)

    def _batch(
        self,
        connection: Connection,
        project_id: UUID,
        known: Mapping[Key, ConversationRow],
        homes: Mapping[Key, Belonging],
    ) -> "_Batch":
        return _Batch(connection, project_id, self._host.host_id, known, homes, self._price)

    def _homes(self, wanted: Mapping[Key, Draft]) -> dict[Key, Belonging]:
        """Decide where the conversations belong that nobody has stored yet; in transactions of their own."""
        asked = [key for key in wanted if key not in self._placed]
        if not asked:
            return {}
        with self._database.read() as connection:
            known = execution.conversations(connection, asked)
        homes = {}
        for key in asked:
            observed = wanted[key].observed
            if key not in known and "first" in observed:
                started_in = self._started_in(key[0], value(observed, "transcript"), value(observed, "cwd"))
                homes[key] = belonging(self._database, self._owners, observed, started_in)
        return homes

    def _keep(self, placed: Collection[Key]) -> None:
        for key in placed:
            self._placed[key] = None
        while len(self._placed) > _KNOWN:
            del self._placed[next(iter(self._placed))]

    def forget(self) -> None:
        """Look up anew which conversations are stored: the database is another one, or lost some."""
        self._placed.clear()
        self._is_registered = False


def _projects(known: Mapping[Key, ConversationRow], homes: Mapping[Key, Belonging]) -> set[UUID]:
    return {row.project_id for row in known.values()} | {home.project_id for home in homes.values()}


@dataclass(slots=True)
class _Batch:
    """Drafts of one project, on their way into the database."""

    connection: Connection
    project_id: UUID
    host_id: UUID
    known: Mapping[Key, ConversationRow]
    homes: Mapping[Key, Belonging]
    price: Price
    rows: dict[UUID, ConversationRow] = field(default_factory=dict)
    attributions: dict[UUID, Attribution] = field(default_factory=dict)
    recounted: set[UUID] = field(default_factory=set)
    agents: dict[UUID, AgentRow] = field(default_factory=dict)

    def store(self, drafts: Sequence[Draft]) -> None:
        owners = [(draft, self._conversation(draft)) for draft in drafts]
        execution.write(self.connection, "conversations", list(self.rows.values()))
        for _, owner in owners:
            self._attribute(owner)
        stored = execution.stored(self.connection, self.project_id, _wanted(owners))
        self._agents(owners, stored)
        self._calls(owners, stored)
        logs = [rowing.log(owner, key, seen) for draft, owner in owners for key, seen in draft.logs.items()]
        execution.write_logs(self.connection, logs)
        todos = [
            rowing.todo(owner, key, seen, stored.todos.get((owner.conversation_id, key)))
            for draft, owner in owners
            for key, seen in draft.todos.items()
        ]
        execution.write(self.connection, "todos", todos)
        touched = self._usage(owners, stored)
        costs = self._costs(owners, stored)
        self._totals(touched, costs)

    # --- conversations -------------------------------------------------------------------------------

    def _conversation(self, draft: Draft) -> Owner:
        key = draft.client, draft.native_id
        known = self.known.get(key)
        home = rowing.belonging_of(known) if known is not None else self.homes[key]
        row, owner = rowing.conversation(draft, known, home, self.host_id)
        row = self._identified(row)
        self.rows[row.conversation_id] = row
        return owner

    def _identified(self, row: ConversationRow) -> ConversationRow:
        """Return the row with the identity that the client's environment names, if it names one."""
        named = value(row.observed, "identity")
        if named is None or row.identity_source == "environment":
            return row
        found = Identities(self.connection).usable(named, "environment")
        return row if found is None else row._replace(identity_id=found, identity_source="environment")

    def _attribute(self, owner: Owner) -> None:
        """Find which sessions a conversation worked on, and when."""
        row = self.rows[owner.conversation_id]
        told = attributing.told_links(self.connection, self.project_id, row.client, row.native_id)
        links = attribution.stretches(
            (self.project_id, owner.conversation_id),
            [(one.agent, one.at or row.started_at, one.session_id) for one in told],
            self._environment(row),
            self._inferred(row),
        )
        if links != attributing.links_of(self.connection, self.project_id, owner.conversation_id):
            attributing.put_links(self.connection, (self.project_id, owner.conversation_id), links)
        found = attributing.courses(self.connection, self.project_id, {link.session_id for link in links})
        works = {
            one.session_id: attribution.work_of(
                one.session_id, one.history, one.commits, one.phase, one.checkpoint
            )
            for one in found
        }
        made = Attribution(links, works)
        self.attributions[owner.conversation_id] = made
        if made.digest != row.attribution:
            self.recounted.add(owner.conversation_id)
            self.rows[owner.conversation_id] = row._replace(attribution=made.digest)
            execution.write(self.connection, "conversations", [self.rows[owner.conversation_id]])

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

    def _agents(self, owners: Sequence[tuple[Draft, Owner]], stored: Stored) -> None:
        """Write the agents that something was said of, and those whose end follows from it."""
        known = dict(stored.agents)
        moved = [owner.conversation_id for _, owner in owners if self._is_moved(owner)]
        known |= {row.agent_id: row for row in execution.agents_of(self.connection, self.project_id, moved)}
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
        execution.write(self.connection, "agents", list(self.agents.values()))

    def _is_moved(self, owner: Owner) -> bool:
        """Tell whether what is said of the conversation may say something of all its agents."""
        known = next(
            (row for row in self.known.values() if row.conversation_id == owner.conversation_id), None
        )
        if known is None:
            return False
        return (
            owner.conversation_id in self.recounted
            or any(
                known.observed.get(name) != owner.observed.get(name)
                for name in ("ended", "restarted", "abandoned", "phantom")
            )
            or known.status != owner.standing.status
        )

    def _placed(self, row: AgentRow, owner: Owner) -> AgentRow:
        at = row.last_activity_at if row.native_id == MAIN else row.started_at
        whole = self.rows[owner.conversation_id]
        counted = self.attributions[owner.conversation_id].at(at or whole.last_activity_at, row.native_id)
        return row._replace(session_id=counted.session_id, checkpoint_number=counted.checkpoint)

    def _calls(self, owners: Sequence[tuple[Draft, Owner]], stored: Stored) -> None:
        rows = [
            rowing.call(owner, key, seen, stored.calls.get((owner.conversation_id, key)))
            for draft, owner in owners
            for key, seen in draft.calls.items()
        ]
        execution.write(self.connection, "tool_calls", rows)

    # --- usage ---------------------------------------------------------------------------------------

    def _usage(self, owners: Sequence[tuple[Draft, Owner]], stored: Stored) -> set[UUID]:
        """Write usage; return the agents whose totals may have changed."""
        rows: dict[Key, UsageRow] = {}
        touched: set[UUID] = set()
        for draft, owner in owners:
            for message_id, seen in draft.usage.items():
                key = draft.client, message_id
                known = rows.get(key) or stored.usage.get(key)
                row = self._counted(rowing.usage(owner, draft.client, message_id, seen, known), known)
                rows[key] = row
                if row != known:
                    touched.add(row.agent_id)
                    if known is not None:
                        touched.add(known.agent_id)
        for conversation_id in self.recounted:
            for known in attributing.usage_of(self.connection, self.project_id, conversation_id):
                key = known.client, known.message_id
                row = self._counted(rows.get(key, known), known)
                if row != known:
                    rows[key] = row
                    touched.add(row.agent_id)
        changed = [row for key, row in rows.items() if row != stored.usage.get(key)]
        execution.write(self.connection, "usage_records", changed)
        return touched

    def _counted(self, row: UsageRow, known: UsageRow | None) -> UsageRow:
        """Return a record with its price, and with what it is counted to."""
        same = known is not None and rowing.numbers_of(known) == rowing.numbers_of(row)
        if known is not None and same and known.cost_usd is not None:
            row = row._replace(
                cost_usd=known.cost_usd, cost_source=known.cost_source, price_version=known.price_version
            )
        else:
            row = self.price(row)
        made = self.attributions.get(row.conversation_id)
        if made is None:  # it is another conversation's, which nothing is said of now
            if known is None:
                return row
            return row._replace(
                session_id=known.session_id, phase=known.phase, checkpoint_number=known.checkpoint_number
            )
        agent = self.agents.get(row.agent_id)
        counted = made.at(row.at, MAIN if agent is None else agent.native_id)
        return row._replace(
            session_id=counted.session_id, phase=counted.phase, checkpoint_number=counted.checkpoint
        )

    def _costs(
        self, owners: Sequence[tuple[Draft, Owner]], stored: Stored
    ) -> dict[UUID, list[ClientCostRow]]:
        """Write the clients' ledgers; return them, of each conversation that has one."""
        found: dict[UUID, dict[str, ClientCostRow]] = defaultdict(dict)
        for (conversation_id, model), row in stored.costs.items():
            found[conversation_id][model] = row
        changed = []
        for draft, owner in owners:
            for model, seen in draft.spent.items():
                known = stored.costs.get((owner.conversation_id, model))
                row = rowing.cost(owner, model, seen, known)
                found[owner.conversation_id][model] = row
                changed.append(row)
        execution.write(self.connection, "client_costs", changed)
        return {conversation_id: list(rows.values()) for conversation_id, rows in found.items()}

    def _totals(self, touched: set[UUID], costs: Mapping[UUID, list[ClientCostRow]]) -> None:
        """Add up what has changed: for each agent, and what a client says beyond its responses."""
        sums = attributing.add_up(self.connection, self.project_id, touched)
        attributing.put_totals(self.connection, self.project_id, touched, sums, "messages")
        agents = totals.of_agents(touched, sums, self._all_agents(touched))
        execution.write(self.connection, "agents", agents)
        for conversation_id, ledger in costs.items():
            row = self.rows[conversation_id]
            if row.forked_from is not None:
                continue  # its ledger began with what the other one had cost
            made = attributing.totals_of(self.connection, self.project_id, conversation_id)
            main = rowing.agent_id_of(conversation_id, MAIN)
            rest = totals.beyond(row, main, ledger, made, self.attributions[conversation_id])
            attributing.put_totals(self.connection, self.project_id, [main], rest, "client")

    def _all_agents(self, ids: Collection[UUID]) -> list[AgentRow]:
        """Return the agents as they are now, also those of other conversations."""
        others = [one for one in ids if one not in self.agents]
        found = execution.agents_by_id(self.connection, self.project_id, others)
        return [self.agents[one] for one in ids if one in self.agents] + found


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
