"""Every fault by name, in its two sizes, and what does some of them and prints their figures."""

# Its output is what it is for.
# ruff: noqa: T201

import itertools
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from sessionlib.db import schema
from sessionlib.db.engine import Database
from tests import postgres
from tests.faults import (
    anyorder,
    bursts,
    doubles,
    files,
    holders,
    journals,
    kills,
    limits,
    links,
    outages,
    powercuts,
    refusals,
    roots,
    saves,
    soak,
    stops,
    transcripts,
)
from tests.faults.failpoints import JOURNAL_STEPS, STEPS
from tests.faults.ground import Figure, Ground, Tools
from tests.faults.nursery import nursery
from tests.faults.resetting import resetting
from tests.proxies import proxied

Fault = Callable[[Ground], Figure | list[Figure]]


class Sizes(NamedTuple):
    """How much of each fault is done; as they stand here, about as much as in the test run."""

    kills: int = 15
    rounds: int = 1
    stops: int = 10
    stopped: float = 40
    restarts: int = 5
    hung: float = 3
    resets: int = 12
    refused: float = 1
    locked: float = 14
    counts: int = 150
    lock_kills: int = 12
    cuts: int = 8
    errors: int = 2
    burst: int = 2_000
    writes: int = 5_000
    folders: int = 500
    hosts: float = 2
    syncs: int = 6
    saves: int = 100
    cut_off: float = 1
    journal_kills: int = 4
    journal_rounds: int = 1
    away: float = 8
    spooled: int = 10_000
    changes: int = 3
    examples: int = 40
    soak: float = 10


LONG = Sizes(
    kills=150,
    rounds=10,
    stops=100,
    stopped=600,
    restarts=50,
    hung=300,
    resets=200,
    refused=60,
    locked=20,
    counts=5_000,
    lock_kills=200,
    cuts=300,
    errors=5,
    burst=20_000,
    writes=100_000,
    folders=10_000,
    hosts=60,
    syncs=100,
    saves=1_500,
    cut_off=60,
    journal_kills=150,
    journal_rounds=10,
    away=300,
    spooled=30_000,
    changes=200,
    examples=1_000,
    soak=1_800,
)


def faults(size: Sizes, server: postgres.Server) -> Iterator[tuple[str, Fault]]:
    """Give every fault by name, in this size."""
    # What loads the machine most comes first: those that it would slow most come late beside.
    yield "counts", lambda ground: holders.locked_counts(ground, 8, size.counts, size.lock_kills)
    yield from _save_faults(size)
    for kind in ("sqlite", "postgres"):
        yield f"burst-{kind}", lambda ground, kind=kind: bursts.burst(ground, kind, size.burst)  # type: ignore[misc]
    yield "sigstop", lambda ground: bursts.stopped_process(ground, "sqlite", size.writes, size.folders)
    steps = sorted(STEPS)
    for kind in ("sqlite", "postgres"):
        yield f"kills-{kind}", lambda ground, kind=kind: kills.random_kills(ground, kind, size.kills)  # type: ignore[misc]
        yield (
            f"steps-{kind}",
            lambda ground, kind=kind: kills.kills_at_steps(ground, kind, list(steps), size.rounds),  # type: ignore[misc]
        )
    yield "stops-sqlite", lambda ground: stops.random_stops(ground, "sqlite", size.stops)

    def hanging_stops(ground: Ground) -> Figure:
        with proxied(server) as proxy:
            return stops.random_stops(ground, "postgres", size.stops, proxy)

    def hung(ground: Ground) -> Figure:
        with proxied(server) as proxy:
            return outages.hung(ground, proxy, size.hung)

    def reset(ground: Ground) -> Figure:
        with resetting(server) as proxy:
            return outages.reset_in_commit(ground, proxy, size.resets)

    yield "stops-postgres", hanging_stops
    yield "stopped", lambda ground: outages.stopped(ground, size.stopped)
    yield "restarted", lambda ground: outages.restarted(ground, size.restarts)
    yield "hung", hung
    yield "reset", reset
    yield "refused", lambda ground: refusals.refused(ground, list(refusals.REFUSALS), size.refused)
    yield "out-of-disk", lambda ground: refusals.full(ground, size.refused)
    yield "newer", refusals.newer
    yield "locked", lambda ground: files.locked(ground, size.locked)
    yield "disk-full", lambda ground: files.full(ground, size.refused)
    yield "read-only", files.read_only
    yield "replaced", files.replaced
    yield "damaged", files.damaged
    yield "damaged-live", files.damaged_live
    for name in limits.LIMITS:
        yield name, lambda ground, name=name: limits.limited(ground, name, 50)  # type: ignore[misc]
    for name, kind in itertools.product(roots.CHANGES, ("sqlite", "postgres")):
        yield (
            f"{name}-{kind}".replace(" ", "-"),
            lambda ground, kind=kind, name=name: roots.changed(ground, kind, name),  # type: ignore[misc]
        )
    yield "two-hosts", lambda ground: doubles.two_hosts(ground, size.hosts)
    for kind in ("sqlite", "postgres"):
        yield f"beside-{kind}", lambda ground, kind=kind: doubles.beside_a_daemon(ground, kind, size.syncs)  # type: ignore[misc]
        yield (
            f"queues-{kind}",
            lambda ground, kind=kind: doubles.queues_beside_a_daemon(ground, kind, size.saves),  # type: ignore[misc]
        )
    yield from _whole_faults(size)
    yield from _journal_faults(size, server)


def _save_faults(size: Sizes) -> Iterator[tuple[str, Fault]]:
    """Give those of whoever saves."""
    for kind in ("ext4", "xfs"):
        yield f"cut-{kind}", lambda ground, kind=kind: powercuts.cut(ground, kind, size.cuts)  # type: ignore[misc]
    for kind in powercuts.KINDS:
        yield (
            f"cut-saving-{kind}".replace(",", "-"),
            lambda ground, kind=kind: powercuts.cut_while_saving(ground, kind, size.cuts),  # type: ignore[misc]
        )
    for verb in ("save", "create"):
        yield f"{verb}-killed", lambda ground, verb=verb: saves.killed_at_every_call(ground, verb)  # type: ignore[misc]
        yield (
            f"{verb}-refused",
            lambda ground, verb=verb: saves.refused_at_every_call(ground, verb, size.errors),  # type: ignore[misc]
        )
    yield "save-stray", saves.undeletable
    yield "save-in-parts", lambda ground: saves.taken_in_parts(ground, [1, 100, 500])
    yield "save-full", lambda ground: saves.on_a_full_disk(ground, 3)


def _whole_faults(size: Sizes) -> Iterator[tuple[str, Fault]]:
    """Give those of links, of the schema, and of all at once."""
    for way, moment in itertools.product(links.WAYS, links.MOMENTS):
        yield (
            f"link-{way}-{moment}".replace(" ", "-"),
            lambda ground, way=way, moment=moment: links.dead(ground, way, moment, size.cut_off),  # type: ignore[misc]
        )
    for kind in ("sqlite", "postgres"):
        yield (
            f"upgraded-{kind}",
            lambda ground, kind=kind: refusals.upgraded(ground, kind, size.refused),  # type: ignore[misc]
        )
        yield f"soak-{kind}", lambda ground, kind=kind: soak.soak(ground, kind, size.soak)  # type: ignore[misc]
        yield (
            f"any-order-{kind}",
            lambda ground, kind=kind: anyorder.any_order(ground, kind, size.examples, 50),  # type: ignore[misc]
        )


def _journal_faults(size: Sizes, server: postgres.Server) -> Iterator[tuple[str, Fault]]:
    """Give those of hooks and transcripts."""
    steps = sorted(JOURNAL_STEPS)
    for kind in ("sqlite", "postgres"):
        yield (
            f"journal-kills-{kind}",
            lambda ground, kind=kind: journals.random_kills(ground, kind, size.journal_kills),  # type: ignore[misc]
        )
        yield (
            f"journal-steps-{kind}",
            lambda ground, kind=kind: journals.kills_at_steps(ground, kind, steps, size.journal_rounds),  # type: ignore[misc]
        )
        yield (
            f"transcripts-{kind}",
            lambda ground, kind=kind: transcripts.changed(ground, kind, size.changes),  # type: ignore[misc]
        )

    def hung(ground: Ground) -> Figure:
        with proxied(server) as proxy:
            return journals.hung(ground, proxy, size.hung)

    yield "journal-stopped", lambda ground: journals.stopped(ground, size.away)
    yield "journal-hung", hung
    yield "journal-disk-full", lambda ground: journals.database_full(ground, size.refused)
    yield "spool-full", lambda ground: journals.spool_full(ground, size.spooled)
    yield "spool-disk-full", journals.spool_disk_full
    yield "client-disk-full", lambda ground: transcripts.client_disk_full(ground, size.journal_rounds)


@contextmanager
def _ground(tools: Tools, seed: int) -> Iterator[Ground]:
    with tempfile.TemporaryDirectory(prefix="faults-") as home, ExitStack() as stack:
        servers: list[postgres.PostgresServer] = []
        numbers = itertools.count()

        def own_server() -> postgres.PostgresServer:
            binaries = postgres.find_binaries()
            assert binaries is not None
            made = postgres.PostgresServer(binaries)
            servers.append(made)
            stack.callback(made.remove)
            made.start()
            postgres.execute(made, "CREATE DATABASE mirror")
            return made

        def new_database(kind: str) -> str:
            if kind == "sqlite":
                url = f"sqlite:///{home}/mirror.db"
            else:
                assert tools.server is not None
                name = f"faults_{seed}_{next(numbers)}"
                postgres.execute(tools.server, f"CREATE DATABASE {name}")
                url = tools.server.url(name)
                stack.callback(postgres.execute, tools.server, f"DROP DATABASE {name} WITH (FORCE)")
            made = Database(url)
            schema.upgrade(made)
            made.close()
            return url

        ground = Ground(Path(home), tools._replace(new_database=new_database, own_server=own_server), seed)
        stack.callback(ground.close)
        yield ground


def _one(name: str, fault: Fault, tools: Tools, seed: int) -> bool | None:
    """Do one fault, print its lines, and tell whether it held; None if this machine cannot do it."""
    began = time.monotonic()
    try:
        with _ground(tools, seed) as ground:
            found = fault(ground)
    except pytest.skip.Exception as skipped:
        print(f"| {name} | not done: {skipped.msg} | | | | - |", flush=True)
        return None
    except Exception:  # noqa: BLE001 - one that fails must not keep the others from being done
        traceback.print_exc()
        print(f"| {name} | seed {seed}, see above | | | | **failed** |", flush=True)
        return False
    held = True
    for line in found if isinstance(found, list) else [found]:
        took = "" if line.recovered is None else f"{line.recovered:.1f}"
        verdict = "held" if line.lost == 0 else "**failed**"
        held = held and line.lost == 0
        print(
            f"| {line.fault} | {line.done} | {line.times:,} | {line.lost} | {took} | {verdict} |", flush=True
        )
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return held


def do(names: list[str], seed: int, *, is_long: bool) -> dict[str, bool | None]:
    """Do some faults one after the other, on a server of their own."""
    with postgres.running_server() as server, nursery() as daemons:
        assert server is not None
        known = dict(faults(LONG if is_long else Sizes(), server))
        tools = Tools(daemons, str, server, lambda: None)  # type: ignore[arg-type,return-value]
        return {name: _one(name, known[name], tools, seed) for name in names}
