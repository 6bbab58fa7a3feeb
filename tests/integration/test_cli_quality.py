"""`sessionctl quality` on both databases: each defect is planted, named, and mended where that is safe."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import Connection, text

from sessionlib.db import bulk, tables
from sessionlib.db.crud import findings
from sessionlib.db.crud.findings import Finding
from sessionlib.db.engine import Database
from sessionlib.db.execution_rows import AgentRow, ConversationRow, CursorRow, UsageRow
from sessionlib.db.types import encode_time
from sessionlib.journal.spool import Spool
from sessionlib.models import FALLBACK_IDENTITY_ID
from sessionlib.models.base import utc_now
from sessionlib.sync.registrar import Host
from tests import deeds, worlds
from tests.ctl import Ctl, bare_ctl_fixture, ctl_fixture  # noqa: F401 - fixtures
from tests.deeds import Deeds
from tests.ingesting import House, payloads, put_transcripts
from tests.mirrors import empty
from tests.worlds import T0, Place, hours

HOST = UUID("00000000-0000-4000-8000-000000000001")
"""Where `ctl` runs."""

FORGET = "DELETE FROM identities WHERE CAST(identity_id AS TEXT) <> :kept"


@pytest.fixture
def desk(ctl: Ctl, mirror_database: Database) -> Iterator[Ctl]:
    """`sessionctl` on an empty database; identities go afterwards."""
    _forget(mirror_database)
    yield ctl
    empty(mirror_database)
    _forget(mirror_database)


def _forget(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text(FORGET), {"kept": str(FALLBACK_IDENTITY_ID)})


def found(desk: Ctl, *words: str) -> dict[str, dict[str, Any]]:
    """Return what is not well, by the name of its check."""
    said = desk("quality", *words, "--json")
    assert said.out, said
    rows = {row["check"]: row for row in said.object["rows"] if row["level"] != "ok"}
    assert said.code == (1 if any(row["level"] == "bad" for row in rows.values()) else 0), said
    return rows


def unguarded(database: Database, *statements: str) -> None:
    """Write as a program does that knows nothing of our keys."""
    if not database.is_postgres:
        with closing(sqlite3.connect(str(database.url.database))) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()
        return
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connected:
        connected.execute("SET session_replication_role = replica")
        for statement in statements:
            connected.execute(statement)  # type: ignore[call-overload]


def usage(agent: AgentRow, message_id: str, **changed: Any) -> UsageRow:
    """Return a response of ten tokens in and one out, which costs nothing that is known."""
    return UsageRow(
        *(agent.project_id, deeds.CLIENT, message_id, agent.conversation_id, agent.agent_id, T0, "model-a"),
        *(None, 10, 1, 0, 0, 0, 0, True, None, None, None, None, None, None),
    )._replace(**changed)


def ended(place: Place, native_id: str = "talk", **changed: Any) -> ConversationRow:
    return deeds.ended(deeds.conversation(place, native_id), **changed)


def observed(row: ConversationRow) -> ConversationRow:
    """Return a conversation with the observations that its times follow from."""
    first, last = encode_time(row.started_at), encode_time(row.last_activity_at)
    return row._replace(observed=json.dumps({"first": first, "last": last, "worked": last}))


Plant = Callable[[Connection, Place], None]


def nameless_calls(connection: Connection, place: Place) -> None:
    talk = ended(place, end_reason=None)
    main = deeds.agent(talk)
    calls = [deeds.call(main, "1", "unknown"), deeds.call(main, "2", "Bash")]
    deeds.write(connection, Deeds([talk], agents=[main], calls=calls))


def names_in_two_cases(connection: Connection, _: Place) -> None:
    worlds.add_project(connection, "Garden", "Other")
    for name in ("Mason", "mason", "smith"):
        deeds.identity(connection, name)


def silent(connection: Connection, place: Place) -> None:
    deeds.write(connection, Deeds([deeds.conversation(place), ended(place, "over")]))


def still_running(connection: Connection, place: Place) -> None:
    talk = ended(place)
    main, scout = deeds.agent(talk), deeds.agent(talk, "scout", status="running", ended_at=None)
    deeds.write(connection, Deeds([talk], agents=[main, scout]))


def no_outcome(connection: Connection, place: Place) -> None:
    proper, killed = ended(place, end_reason="logout"), ended(place, "killed")
    mains = [deeds.agent(proper), deeds.agent(killed)]
    calls = [deeds.call(main, "1", outcome="open", ended_at=None) for main in mains]
    deeds.write(connection, Deeds([proper, killed], agents=mains, calls=calls))


def never_varies(connection: Connection, place: Place) -> None:
    talk = ended(place)
    main = deeds.agent(talk)
    calls = [deeds.call(main, f"{n}", "Bash" if n % 2 else "Read") for n in range(1000)]
    deeds.write(connection, Deeds([talk], agents=[main], calls=calls))


def without_a_price(connection: Connection, place: Place) -> None:
    talk = ended(place)
    main = deeds.agent(talk, messages=2, input_tokens=20, output_tokens=2, unpriced=2)
    rows = [usage(main, "a"), usage(main, "b")]
    sums = {"messages": 2, "input_tokens": 20, "output_tokens": 2, "cache_read_tokens": 0}
    total = deeds.total(main, None, **sums, cache_write_tokens=0, unpriced=2)
    deeds.write(connection, Deeds([talk], agents=[main], totals=[total]))
    bulk.insert(connection, tables.usage_records, rows)


def wrongly_added(connection: Connection, place: Place) -> None:
    talk = ended(place)
    main, scout = deeds.agent(talk, messages=7), deeds.agent(talk, "scout")
    deeds.write(connection, Deeds([talk], agents=[main, scout], totals=[deeds.total(scout)]))


def told_twice(connection: Connection, place: Place) -> None:
    talk = deeds.conversation(place, started_at=T0, last_activity_at=utc_now())
    main = deeds.agent(talk, status="running", ended_at=None)
    now = utc_now() - timedelta(minutes=1)
    logs = [
        deeds.log(main, key, 0)._replace(at=now + timedelta(seconds=after), digest=digest)
        for key, after, digest in (("a", 0, "d"), ("b", 1.5, "d"), ("c", 4, "d"), ("e", 4.5, "x"))
    ]
    deeds.write(connection, Deeds([talk], agents=[main], logs=logs))


def half_read(connection: Connection, place: Place) -> None:
    row = CursorRow(place.host_id, "/a.jsonl", "claude-code", 1, 2, 3, "", 4, 5, "{}", "2 lines", T0)
    bulk.insert(connection, tables.journal_cursors, [row])


def no_word_from_hooks(connection: Connection, place: Place) -> None:
    now = utc_now()
    talk = deeds.conversation(place, started_at=now, last_activity_at=now)
    main = deeds.agent(talk, messages=1, input_tokens=10, output_tokens=1, unpriced=0, cost_usd=0)
    sums = {"messages": 1, "input_tokens": 10, "output_tokens": 1, "cache_read_tokens": 0}
    total = deeds.total(main, "0", **sums, cache_write_tokens=0, day=now.date().isoformat())
    deeds.write(connection, Deeds([talk], agents=[main], totals=[total]))
    bulk.insert(connection, tables.usage_records, [usage(main, "a", at=now, cost_usd=0)])


def renamed_fields(connection: Connection, place: Place) -> None:
    for kind in ("contract-drift", "another"):
        findings.open_finding(connection, place.project_id, None, Finding(kind, "PreToolUse.id", "no id"))


PLANTS: dict[str, tuple[Plant, int, str]] = {
    "placeholders": (nameless_calls, 2, "1 tool calls without a name"),
    "alike-names": (names_in_two_cases, 2, "identities: Mason, mason"),
    "never-closed": (silent, 1, "claude-code talk garden"),
    "running-agents": (still_running, 1, "talk scout Explore"),
    "open-calls": (no_outcome, 1, "talk Bash 1"),
    "constant-columns": (never_varies, 1, "tool_calls.outcome is always ok"),
    "unpriced": (without_a_price, 2, "model-a: 2"),
    "wrong-sums": (wrongly_added, 2, "talk Explore"),
    "repeated-events": (told_twice, 1, "talk PreToolUse"),
    "journals": (half_read, 1, "/a.jsonl 2 lines"),
    "silent-hooks": (no_word_from_hooks, 1, "anvil"),
    "contract-drift": (renamed_fields, 1, "no id"),
}


@pytest.mark.parametrize("check", PLANTS)
def test_a_planted_defect_is_found_and_nothing_else(desk: Ctl, mirror_database: Database, check: str) -> None:
    """It is counted, shown by an example, with a step to take; no other check takes it for its own."""
    plant, count, example = PLANTS[check]
    with mirror_database.write() as connection:
        plant(connection, worlds.add_place(connection))
    bad = {name: row for name, row in found(desk).items() if row["level"] == "bad"}
    assert list(bad) == [check], bad
    assert bad[check]["count"] == count, bad[check]
    assert example in bad[check]["examples"]
    assert bad[check]["next"]
    said = desk("quality").out
    assert f"bad   {check}: {count} " in said
    assert "checks, 1 wrong" in said


def test_an_empty_database_is_well(desk: Ctl) -> None:
    """Nothing is wrong with nothing."""
    assert found(desk) == {}
    assert desk("quality").out == "17 checks, nothing wrong\n"


def test_what_real_journals_become_is_well(desk: Ctl, mirror_database: Database, tmp_path: Path) -> None:
    """Transcripts and hooks of all recorded versions leave nothing that is wrong."""
    house = House(mirror_database, tmp_path / "house", host=Host(HOST, "anvil"))
    put_transcripts(house.config)
    house.read()
    for number, body in enumerate(payloads()):
        house.deliver(body, number)
    house.drain()
    with mirror_database.write() as connection:
        connection.execute(text("UPDATE hosts SET heartbeat_at = :now"), {"now": _stored(mirror_database)})
    assert len(house.rows("agents")) > 20
    assert not {name for name, row in found(desk).items() if row["level"] == "bad"} - {"unpriced"}


def _stored(database: Database) -> Any:
    now = utc_now()
    return now if database.is_postgres else now.isoformat().replace("+00:00", "Z")


def test_rows_without_an_owner_are_found(desk: Ctl, mirror_database: Database) -> None:
    """Only a database whose keys were not enforced can hold them."""
    with mirror_database.write() as connection:
        place = worlds.add_place(connection)
        talk = ended(place)
        deeds.write(
            connection, Deeds([talk], agents=[deeds.agent(talk)], todos=[deeds.todo(talk, "1", None)])
        )
    assert "orphans" not in found(desk)
    unguarded(mirror_database, "DELETE FROM conversations")
    row = found(desk)["orphans"]
    assert (row["count"], "sessionctl verify" in row["next"]) == (2, True)
    assert row["examples"] == [
        "agents: 1 without their row in conversations",
        "todos: 1 without their row in conversations",
    ]
    unguarded(mirror_database, "DELETE FROM agents", "DELETE FROM todos")


def test_parents_that_are_assumed_in_spite_of_a_meta_file_are_told(
    desk: Ctl, mirror_database: Database
) -> None:
    """As information, with the share of those that have such a file."""
    known, assumed = '{"type": [5, "Explore"]}', '{"type": [3, "Explore"]}'
    with mirror_database.write() as connection:
        place = worlds.add_place(connection)
        talk = ended(place)
        spawned = [
            deeds.agent(talk, "a", observed=known),
            deeds.agent(talk, "b", observed=known, parent_source="assumed"),
            deeds.agent(talk, "c", observed=assumed, parent_source="assumed"),
        ]
        deeds.write(connection, Deeds([talk], agents=[deeds.agent(talk), *spawned]))
    row = found(desk)["assumed-parents"]
    assert (row["level"], row["count"], row["examples"]) == ("info", 1, ["b Explore"])
    assert row["says"] == "1 of 2 agents with a meta file have a parent that is only assumed"


def test_what_lies_in_the_spool_is_told(desk: Ctl) -> None:
    """Deliveries that were put aside with the reason, and those that were lost."""
    spool = Spool(desk.home / "state" / "spool")
    spool.prepare()
    header = b"client: claude-code\nevent: Stop\nat: 1\npid: 1\nsize: 2\n\n"
    for name, content in (("1", header + b'{"sessionId": "x"}'), ("2", b"scrap")):
        (spool.inbox / name).write_bytes(content)
        spool.bury(name)
    (spool.folder / "dropped").write_bytes(b"...")
    rows = found(desk)
    assert rows["buried-deliveries"]["examples"] == ["1: it names no session_id", "2: it has no header"]
    assert (rows["dropped-deliveries"]["count"], len(rows)) == (3, 2)
    assert rows["buried-deliveries"]["next"].endswith(f"delete what you do not need: {spool.folder / 'dead'}")
    (spool.folder / "dropped").unlink()
    said = desk("quality")
    assert (said.code, "warn  buried-deliveries: 2 " in said.out) == (0, True), said


def test_a_daemon_that_looks_may_leave_a_conversation_open(desk: Ctl, mirror_database: Database) -> None:
    """It knows that the process is still there."""
    with mirror_database.write() as connection:
        place = worlds.add_place(connection)
        silent(connection, place)
        connection.execute(text("UPDATE hosts SET heartbeat_at = :now"), {"now": _stored(mirror_database)})
    assert "never-closed" not in found(desk)


def test_fixing_mends_what_is_safe(desk: Ctl, mirror_database: Database, tmp_path: Path) -> None:
    """Sums are added up, ends are written, gone journals forgotten; the second look finds nothing wrong."""
    house = House(mirror_database, tmp_path / "house", host=Host(HOST, "anvil"))
    put_transcripts(house.config, "2.1.330")
    house.read()
    before = house.everything()
    gone = house.rows("journal_cursors")[0]["path"]
    Path(gone).unlink()
    unguarded(
        mirror_database,
        "UPDATE agents SET messages = messages + 1, input_tokens = 0",
        "DELETE FROM usage_totals WHERE source = 'messages'",
        "UPDATE agents SET status = 'running', ended_at = NULL WHERE conversation_id IN "
        "(SELECT conversation_id FROM conversations WHERE status <> 'active')",
    )
    with mirror_database.write() as connection:
        place = worlds.add_place(connection, "elsewhere")
        deeds.write(connection, Deeds([observed(deeds.conversation(place, "silent"))]))
    assert {"wrong-sums", "never-closed"} <= found(desk).keys()
    said = desk("quality", "--fix")
    assert "added the usage of" in said.out
    assert "forgot 1 transcript whose file is gone" in said.out
    assert "closed " in said.out
    row = house.row("conversations", native_id="silent")
    assert (row["status"], row["end_estimated"], row["ended_at"]) == ("abandoned", True, hours(1))
    assert not {"wrong-sums", "never-closed", "running-agents"} & found(desk).keys()
    after = house.everything()
    for table in ("usage_records", "usage_totals", "client_costs", "tool_calls"):
        assert after[table] == before[table]
    assert desk("quality", "--fix").out.startswith("there was nothing to mend\n")


def test_conversations_of_other_hosts_are_closed_only_when_they_are_long_silent(
    desk: Ctl, mirror_database: Database
) -> None:
    """Of their processes nobody knows here, so what may still be alive is left."""
    lately = utc_now() - timedelta(hours=3)
    with mirror_database.write() as connection:
        place = worlds.add_place(connection)
        deeds.write(
            connection,
            Deeds(
                [
                    observed(deeds.conversation(place, "old", pid=99)),
                    deeds.conversation(place, "new", started_at=T0, last_activity_at=lately, pid=99),
                ]
            ),
        )
    assert found(desk)["never-closed"]["examples"] == ["claude-code old garden"]
    assert "never-closed" not in found(desk, "--fix")
    with mirror_database.read() as connection:
        rows = connection.execute(text("SELECT native_id, status FROM conversations ORDER BY 1")).all()
    assert [tuple(row) for row in rows] == [("new", "active"), ("old", "abandoned")]


def test_without_a_database_it_says_what_to_do(bare_ctl: Ctl) -> None:
    """As all verbs that read."""
    said = bare_ctl("quality")
    assert (said.code, "there is no database" in said.err) == (78, True)
