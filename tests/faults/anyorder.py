"""Any order of file operations, kills, outages and clock steps; the mirror is a function of the files.

A hypothesis state machine over the real bridge, without threads: a kill is an exception that nothing catches,
raised at a named step of a sync, after which another process's view of the same database goes on. What must
hold is told by the oracle's rules alone.
"""

import functools
import importlib
import itertools
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import event
from typing_extensions import override

from sessionlib.db.engine import Database
from sessionlib.errors import DatabaseError
from sessionlib.sync.results import Result
from tests import builders, mirrors
from tests.faults import oracle
from tests.faults.failpoints import NEEDS_REMOVAL, STEPS
from tests.faults.ground import Figure, Ground
from tests.mirrors import World

_QUEUE = "sessionlib.sync.queue:"
_IN_A_WORLD = sorted(name for name, where in STEPS.items() if not where.startswith(_QUEUE))
"""The steps of a sync without the queue's, which a world has none of."""
_SLUGS = ("a", "b", "c", "d")
_SIDES = ("main", "tree")
_JUMPS = (-31_536_000, -3600, -1, 2, 3600, 31_536_000)
_LOCKED_MS = 20

SLUG = st.sampled_from(_SLUGS)
SIDE = st.sampled_from(_SIDES)
DEED = st.sampled_from(["sync", "reconcile", "confirm", "round"])
SLUGS = st.lists(SLUG, min_size=1, unique=True)
FIRST = st.sampled_from(["save", "remove", "miss", ""])
STEP = st.sampled_from(_IN_A_WORLD)
LAST_STEP = st.sampled_from([*sorted(NEEDS_REMOVAL), "a commit", "taking the locks"])
WHEN = st.sampled_from(["before", "after"])
NTH = st.sampled_from([1, 1, 2, 3])


class Killed(BaseException):
    """The process is no more; nothing may catch this but whoever starts the next one."""


class Patient(World):
    """A world that takes a torn file for a bad one at once: nobody is writing it."""

    @override
    def _sync_all(self, paths: list[Path]) -> list[Result]:
        if not paths:
            return []
        names = [path.name for path in paths]
        return self.mirror.sync(self.place(paths[0].parent), names, settled=names)

    @override
    def restarted(self) -> "Patient":
        return Patient(self.database, clock=self.clock)


@contextmanager
def killed_at(step: str, when: str, nth: int) -> Iterator[None]:
    """Kill whoever comes to a step for the nth time inside the block, before or after it is done."""
    module, _, path = STEPS[step].partition(":")
    *outer, name = path.split(".")
    owner: Any = functools.reduce(getattr, outer, importlib.import_module(module))
    function: Callable[..., Any] = getattr(owner, name)
    times = itertools.count(1)

    def fatal(*arguments: Any, **named: Any) -> Any:
        mine = next(times)
        if mine == nth and when == "before":
            raise Killed(step)
        found = function(*arguments, **named)
        if mine == nth:
            raise Killed(step)
        return found

    with mock.patch.object(owner, name, fatal):
        yield


class AnyOrder(RuleBasedStateMachine):
    """A project that becomes a repository with a worktree, changed at will while its mirror has no luck."""

    database: Database
    url: str
    base: Path
    numbers: "itertools.count[int]"
    seen: "Counter[str]"
    """How often what came about; what is never met is not tested."""

    @initialize()
    def begin(self) -> None:
        """Empty the database and make a project outside git."""
        mirrors.empty(self.database)
        self.world = Patient(self.database)
        self.here = self.base / f"example-{next(self.numbers)}"
        self.code, self.aside = self.here / "code", self.here / "aside"
        self.aside.mkdir(parents=True)
        self.roots = {"main": builders.make_project(self.code / "shop") / oracle.SESSIONS}
        self.ids: dict[str, Any] = {}
        self.written = 0

    def teardown(self) -> None:
        """Settle at the end of each example."""
        if hasattr(self, "roots"):
            self.settle()
            shutil.rmtree(self.here)

    def folder(self, side: str, slug: str) -> Path:
        """Return a session's folder; in the main checkout while there is no other."""
        return self.roots.get(side, self.roots["main"]) / slug

    # --- files ---------------------------------------------------------------------------------

    @rule(side=SIDE, slugs=SLUGS)
    def save(self, side: str, slugs: Sequence[str]) -> None:
        """Save sessions; no two saves have one time, and a later one may have an earlier time."""
        for slug in slugs:
            folder = self.folder(side, slug)
            if folder.is_symlink():
                folder.unlink()
            self.written += 1
            document = builders.v2_building(
                session_id=slug,
                completed=range(1, self.written % 4 + 1),
                topic=f"save {self.written}",
                updated_at=builders.at(self.written * 37 % 499),
            )
            builders.make_session(folder.parent, slug, document)

    @rule(side=SIDE, slug=SLUG, data=st.sampled_from([b"", b"{", b'{"topic": "tor']))
    def spoil(self, side: str, slug: str, data: bytes) -> None:
        """Leave half a document, in place."""
        file = self.folder(side, slug) / "state.json"
        if file.is_file():
            file.write_bytes(data)

    @rule(side=SIDE, slugs=SLUGS, whole=st.booleans())
    def remove(self, side: str, slugs: Sequence[str], whole: bool) -> None:
        """Remove sessions, or their documents alone."""
        for folder in (self.folder(side, slug) for slug in slugs):
            if folder.is_symlink():
                folder.unlink()
            elif whole:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                (folder / "state.json").unlink(missing_ok=True)

    @rule(side=SIDE, slug=SLUG, other=SLUG)
    def rename(self, side: str, slug: str, other: str) -> None:
        """Rename a session's folder."""
        source, target = self.folder(side, slug), self.folder(side, other)
        if source.is_dir() and not os.path.lexists(target):
            source.rename(target)

    @rule(side=SIDE, slug=SLUG, seconds=st.integers(-500, 500))
    def touch(self, side: str, slug: str, seconds: int) -> None:
        """Give a document another time."""
        file = self.folder(side, slug) / "state.json"
        if file.is_file() and not self.folder(side, slug).is_symlink():
            then = file.stat().st_mtime + seconds
            os.utime(file, (then, then))

    @rule(side=SIDE, slug=SLUG)
    def replace_by_a_link(self, side: str, slug: str) -> None:
        """Move a session's folder out of the project and leave a link to it: nobody follows it there."""
        folder = self.folder(side, slug)
        if folder.is_dir() and not folder.is_symlink():
            away = self.aside / f"{side}-{slug}-{self.written}-{len(list(self.aside.iterdir()))}"
            folder.rename(away)
            folder.symlink_to(away)

    @rule(slug=SLUG)
    def come_back(self, slug: str) -> None:
        """Move what a link leads to back to its place."""
        folder = self.folder("main", slug)
        if folder.is_symlink():
            away = folder.readlink()
            folder.unlink()
            away.rename(folder)

    @rule()
    def become_a_repository(self) -> None:
        """Do what `git init` does; again it changes nothing."""
        builders.make_git_repo(self.code / "shop")

    @precondition(lambda self: "tree" not in self.roots)
    @rule(name=st.sampled_from(["a-tree", "tree"]), copied=st.booleans())
    def add_a_worktree(self, name: str, copied: bool) -> None:
        """Add a worktree, with what the main checkout holds or empty."""
        self.become_a_repository()
        tree = builders.make_worktree(self.code / "shop", self.code / name)
        self.roots["tree"] = builders.make_project(tree) / oracle.SESSIONS
        if copied:
            shutil.copytree(self.roots["main"], self.roots["tree"], symlinks=True, dirs_exist_ok=True)

    # --- the mirror, and what befalls it -------------------------------------------------------

    @rule(deed=DEED, side=SIDE, slugs=SLUGS)
    def do(self, deed: str, side: str, slugs: Sequence[str]) -> None:
        """Let the mirror work."""
        root = self.roots.get(side, self.roots["main"])
        if deed == "sync":
            self.world.sync(*(root / slug for slug in slugs))
        elif deed == "reconcile":
            self.world.reconcile(root)
        elif deed == "confirm":
            self.world.confirm(root)
        else:
            self.world.round(*reversed(self.roots.values()))

    def prepare(self, side: str, slugs: Sequence[str], first: str) -> None:
        """Change files, so that there is something to do when luck runs out."""
        if first == "save":
            self.save(side, slugs)
        elif first == "remove":
            self.remove(side, slugs, whole=True)
        elif first == "miss":
            # Seen to be gone once, the next look makes a tombstone.
            self.remove(side, slugs, whole=True)
            self.world.reconcile(self.roots.get(side, self.roots["main"]))

    @rule(deed=DEED, side=SIDE, slugs=SLUGS, first=FIRST, step=STEP, when=WHEN, nth=NTH)
    def kill(
        self, deed: str, side: str, slugs: Sequence[str], first: str, step: str, when: str, nth: int
    ) -> None:
        """Kill it at a step of its work; another process goes on."""
        self.prepare(side, slugs, first)
        try:
            with killed_at(step, when, nth):
                self.do(deed, side, slugs)
        except Killed:
            self.seen["kills"] += 1
            self.world = self.world.restarted()

    @rule(side=SIDE, slugs=SLUGS, step=LAST_STEP, when=WHEN, nth=NTH)
    def kill_at_a_tombstone(self, side: str, slugs: Sequence[str], step: str, when: str, nth: int) -> None:
        """Kill it while it takes sessions for gone."""
        self.save(side, slugs)
        self.do("reconcile", side, slugs)
        self.kill("confirm", side, slugs, "miss", step, when, nth)

    @rule(deed=DEED, side=SIDE, slugs=SLUGS, first=FIRST, nth=st.integers(1, 25))
    def lose_the_database(self, deed: str, side: str, slugs: Sequence[str], first: str, nth: int) -> None:
        """Let the connection fail at a statement; the same process goes on."""
        self.prepare(side, slugs, first)
        times = itertools.count(1)

        def fail(connection: Any, *_: Any) -> None:
            if next(times) == nth:
                self.cut(connection)

        engine = self.database.engine
        for name in ("before_cursor_execute", "commit"):
            event.listen(engine, name, fail)
        try:
            self.do(deed, side, slugs)
        except DatabaseError:
            self.seen["lost connections"] += 1
        finally:
            for name in ("before_cursor_execute", "commit"):
                event.remove(engine, name, fail)

    def cut(self, connection: Any) -> None:
        """End a connection of PostgreSQL's; let SQLite's next call find a disk that fails."""
        if self.database.is_postgres:
            pid = connection.connection.driver_connection.info.backend_pid
            with psycopg.connect(self.url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            return
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorname = "SQLITE_IOERR"
        raise error

    @rule(deed=DEED, side=SIDE, slugs=SLUGS, first=FIRST)
    def refuse(self, deed: str, side: str, slugs: Sequence[str], first: str) -> None:
        """Let nobody connect, or on SQLite, nobody write."""
        self.prepare(side, slugs, first)
        try:
            with self.refusing():
                self.do(deed, side, slugs)
        except DatabaseError:
            self.seen["refusals"] += 1

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Refuse connections, or hold the one lock there is, inside the block."""
        if not self.database.is_postgres:
            other = sqlite3.connect(self.url.removeprefix("sqlite:///"), isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            try:
                yield
            finally:
                other.close()
            return

        def refused(*_: Any) -> None:
            raise psycopg.OperationalError("connection refused")

        self.database.engine.dispose()
        event.listen(self.database.engine, "do_connect", refused)
        try:
            yield
        finally:
            event.remove(self.database.engine, "do_connect", refused)

    @rule(seconds=st.sampled_from(_JUMPS), side=SIDE, slugs=SLUGS, first=FIRST)
    def step_the_clock(self, seconds: int, side: str, slugs: Sequence[str], first: str) -> None:
        """Set the clock forward or back."""
        self.prepare(side, slugs, first)
        self.world.clock.now += timedelta(seconds=seconds)

    @rule()
    def restart(self) -> None:
        """Begin anew with nothing but the database."""
        self.world = self.world.restarted()

    # --- what holds ----------------------------------------------------------------------------

    @rule()
    def settle(self) -> None:
        """Look twice: the mirror is as the files are, ids stay, and to look once more writes nothing."""
        for _ in range(2):
            for root in self.roots.values():
                self.world.confirm(root)
        assert oracle.drift(self.url, self.code) == []
        with mirrors.begun_writes(self.database) as writes:
            for root in self.roots.values():
                self.world.confirm(root)
        assert writes == []
        assert len(self.world.rows("projects")) == 1
        assert len(self.world.rows("workspaces")) == len(self.roots)
        now = {row["slug"]: row["session_id"] for row in self.world.rows("sessions")}
        assert now | self.ids == now
        self.ids = now
        self.seen["settlings"] += 1
        self.seen["tombstones"] += sum(
            row["missing_since"] is not None for row in self.world.rows("sessions")
        )
        self.seen["with a worktree"] += len(self.roots) > 1


def any_order(ground: Ground, kind: str, examples: int, steps: int) -> Figure:
    """Do so many examples of at most so many steps, each on an emptied database."""
    given = ground.tools.new_database(kind)
    opened = Database(given)
    if kind == "sqlite":

        @event.listens_for(opened.engine, "connect")
        def _wait_less(connection: sqlite3.Connection, _: Any) -> None:
            connection.execute(f"PRAGMA busy_timeout={_LOCKED_MS}")

    class Machine(AnyOrder):
        database = opened
        url = given
        base = ground.code
        numbers = itertools.count()
        seen: Counter[str] = Counter()  # noqa: RUF012 - of this run alone

    try:
        run_state_machine_as_test(
            seed(ground.seed)(Machine),
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                print_blob=True,
                suppress_health_check=list(HealthCheck),
                # Shrinking takes minutes; a failure's steps are printed as they were found.
                phases=[Phase.generate],
            ),
        )
    finally:
        opened.close()
    words = ", ".join(f"{count:,} {name}" for name, count in sorted(Machine.seen.items()))
    return Figure("any order", f"{kind}, {examples} times {steps} operations: {words}", examples)
