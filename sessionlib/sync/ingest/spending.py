"""What models were used for: records of responses and requests, their prices, and the totals that follow."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from sessionlib.db import execution, usage
from sessionlib.db.execution import Stored
from sessionlib.db.execution_rows import AgentRow, ClientCostRow, ConversationRow, UsageRow
from sessionlib.db.usage import Position
from sessionlib.journal.facts import MAIN
from sessionlib.sync.ingest import rowing, totals
from sessionlib.sync.ingest.attribution import Attribution
from sessionlib.sync.ingest.drafts import REQUEST, Draft
from sessionlib.sync.ingest.rowing import OTLP, Owner

Key = tuple[str, str]
"""A client and a message's id."""

_AT_ONCE = 150
"""Records that are looked at anew in one transaction: they hold the only writer of SQLite for some 20 ms."""


class Progress(NamedTuple):
    """How far the records of a conversation are looked at anew.

    Attributes:
        digest: Of the attribution by which they were counted: by another one all are looked at again.
        after: Behind which record to go on.
    """

    digest: str
    after: Position


Price = Callable[[UsageRow], UsageRow]
"""Returns a record with what it cost."""


@dataclass(slots=True)
class Spending:
    """Writes what the conversations of a batch have used, once.

    Attributes:
        connection: Inside `Database.write`.
        project_id: The project, whose lock is held.
        price: Prices usage.
        rows: The conversations of the batch.
        attributions: What their moments are counted to.
        agents: Their agents, as they are to be stored.
        recounts: Conversations of which each record is looked at, and how far that is done.
        unfinished: Those of which more records are left than one transaction may look at, likewise.
        others: Other conversations, of which a record has changed or gone over to one of these.
    """

    connection: Connection
    project_id: UUID
    price: Price
    rows: Mapping[UUID, ConversationRow]
    attributions: Mapping[UUID, Attribution]
    agents: dict[UUID, AgentRow]
    recounts: Mapping[UUID, Progress | None]
    unfinished: dict[UUID, Progress | None] = field(default_factory=dict)
    others: set[UUID] = field(default_factory=set)
    _before: dict[Key, UsageRow] = field(default_factory=dict)
    _after: dict[Key, UsageRow] = field(default_factory=dict)
    _native_ids: dict[UUID, str] = field(default_factory=dict)

    def store(self, owners: Sequence[tuple[Draft, Owner]], stored: Stored) -> None:
        """Write records, ledgers and totals."""
        self._before = dict(stored.usage)
        self._read(owners)
        self._recount()
        gone = self._absorb()
        changed = [row for key, row in self._after.items() if row != self._before.get(key)]
        execution.write(self.connection, "usage_records", changed)
        usage.drop(self.connection, self.project_id, gone)
        self._add_up(changed, gone)
        self._balance(self._ledgers(owners, stored))

    def _read(self, owners: Sequence[tuple[Draft, Owner]]) -> None:
        """Join what the drafts say with what is stored."""
        for draft, owner in owners:
            for message_id, seen in draft.usage.items():
                key = draft.client, message_id
                known = self._after.get(key) or self._before.get(key)
                row = rowing.usage(owner, draft.client, message_id, seen, known)
                self._after[key] = self._counted(row, known)

    def _recount(self) -> None:
        """Look at the records of conversations that are counted otherwise now, or priced otherwise."""
        left = _AT_ONCE
        for conversation_id, known in self.recounts.items():
            digest = self.attributions[conversation_id].digest
            progress = known if known is not None and known.digest == digest else None
            if left == 0:
                self.unfinished[conversation_id] = progress
                continue
            after = None if progress is None else progress.after
            found = usage.slice_of(self.connection, self.project_id, conversation_id, after, left)
            left -= len(found)
            for row in found:
                key = row.client, row.message_id
                self._before[key] = row
                self._after[key] = self._counted(self._after.get(key, row), row)
            if left == 0:
                last = found[-1]
                self.unfinished[conversation_id] = Progress(digest, (last.at, last.client, last.message_id))

    def _counted(self, row: UsageRow, known: UsageRow | None) -> UsageRow:
        """Return a record with its price, and with what it is counted to."""
        same = known is not None and rowing.is_priced_alike(known, row)
        if row.cost_source == OTLP:
            pass  # nobody knows better
        elif known is not None and same and known.cost_usd is not None:
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
        counted = made.at(row.at, self._native_id_of(row.agent_id))
        return row._replace(
            session_id=counted.session_id, phase=counted.phase, checkpoint_number=counted.checkpoint
        )

    def _native_id_of(self, agent_id: UUID) -> str:
        """Return an agent's native id, also of one that the batch says nothing of."""
        known = self.agents.get(agent_id)
        if known is not None:
            return known.native_id
        if agent_id not in self._native_ids:
            found = execution.agents_by_id(self.connection, self.project_id, [agent_id])
            self._native_ids[agent_id] = found[0].native_id if found else MAIN
        return self._native_ids[agent_id]

    # --- requests that the client was told the cost of --------------------------------------------------

    def _absorb(self) -> list[Key]:
        """Give responses the costs of their requests, and return the records that are not needed then.

        A request is told of as it is made, its response by the transcript; either may come first. Until both
        are there each counts by itself.
        """
        self._load_other_halves()
        responses: dict[Key, Key] = {}
        for key, row in sorted((self._before | self._after).items()):
            if row.request_id is not None and not _is_request(key):
                responses.setdefault((row.client, row.request_id), key)
        gone = []
        for key in [key for key in self._before | self._after if _is_request(key)]:
            request = self._after.get(key) or self._before[key]
            response = responses.get((request.client, request.request_id or ""))
            if response is not None:
                whole = rowing.charged(self._after.get(response) or self._before[response], request)
                self._after[response] = self._counted(whole, self._before.get(response))
                self._after.pop(key, None)
                gone.append(key)
        return [key for key in gone if key in self._before]

    def _load_other_halves(self) -> None:
        """Read the stored requests of new responses, and the stored responses of new requests."""
        requests: dict[str, set[str]] = defaultdict(set)
        responses: dict[str, set[str]] = defaultdict(set)
        for key, row in self._after.items():
            known = self._before.get(key)
            if row.request_id is None:
                continue
            if _is_request(key):
                responses[row.client].add(row.request_id)
            elif known is None or known.request_id != row.request_id:
                requests[row.client].add(REQUEST + row.request_id)
        found = usage.among(self.connection, self.project_id, "message_id", requests)
        found += usage.among(self.connection, self.project_id, "request_id", responses)
        for row in found:
            self._before.setdefault((row.client, row.message_id), row)

    # --- sums ----------------------------------------------------------------------------------------

    def _add_up(self, changed: Sequence[UsageRow], gone: Sequence[Key]) -> None:
        """Bring the totals of agents up to date by what has changed, without a look at all their records."""
        differences = totals.Differences()
        for key in gone:
            differences.remove(self._before[key])
            self.others.add(self._before[key].conversation_id)
        for row in changed:
            known = self._before.get((row.client, row.message_id))
            if known is not None:
                differences.remove(known)
                self.others.add(known.conversation_id)
            differences.add(row)
            self.others.add(row.conversation_id)
        self.others -= self.rows.keys()
        touched = differences.agents()
        if not touched:
            return
        stored = usage.totals_among(self.connection, self.project_id, touched)
        sums = differences.applied(self.project_id, stored)
        usage.put_totals(self.connection, self.project_id, touched, sums, "messages")
        others = [one for one in touched if one not in self.agents]
        known_agents = execution.agents_by_id(self.connection, self.project_id, others)
        known_agents += [self.agents[one] for one in touched if one in self.agents]
        execution.write(self.connection, "agents", usage.with_sums(sums, known_agents))

    # --- ledgers -------------------------------------------------------------------------------------

    def _ledgers(
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

    def _balance(self, ledgers: Mapping[UUID, list[ClientCostRow]]) -> None:
        """Write what clients say that they spent beyond their responses."""
        for conversation_id, ledger in ledgers.items():
            row = self.rows[conversation_id]
            made = usage.totals_of(self.connection, self.project_id, conversation_id)
            main = rowing.agent_id_of(conversation_id, MAIN)
            # The ledger of a fork began with what the other one had cost, which says nothing.
            is_own = row.forked_from is None
            rest = totals.beyond(
                row, main, ledger if is_own else [], made, self.attributions[conversation_id]
            )
            usage.put_totals(self.connection, self.project_id, [main], rest, "client")


def _is_request(key: Key) -> bool:
    return key[1].startswith(REQUEST)
