"""Any order of changes to the files of two checkouts: afterwards the rows are what an oracle says they are.

The oracle knows files and a few rules of the design; it shares no code with the mirror.
"""

import hashlib
import itertools
import json
import os
import shutil
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests import builders, mirrors
from tests.mirrors import World

SIDES = ("main", "tree")
SLUGS = ("a", "b", "c\udcff")
SIDE = st.sampled_from(SIDES)
SLUG = st.sampled_from(SLUGS)
STAMPS = st.sampled_from([None, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2099-01-01T00:00:00Z"])
TIMES = st.sampled_from([1767300000, 1767400000, 1780000000])
"""Seconds since 1970: between the first two stamps, after the second, and long after."""


@dataclass(frozen=True)
class Seen:
    """What the oracle knows of one copy: its last good content, and how it is now."""

    path: str
    topic: str | None = None
    digest: str | None = None
    stamp: float = float("-inf")
    mtime: float = 0
    bad: bool = False
    gone: bool = False


@dataclass(frozen=True)
class Row:
    """What the oracle expects of a session's row."""

    topic: str | None
    digest: str | None
    side: str
    bad: bool
    tombstone: bool = False


class Oracle:
    """What the database should say, told by the files."""

    def __init__(self, roots: dict[str, Path]) -> None:
        self.roots = roots
        self.copies: dict[tuple[str, str], Seen] = {}
        self.missing: set[str] = set()
        self.rows: dict[str, Row] = {}

    def see(self, side: str, slug: str) -> None:
        """Take note of one folder as it is now, as a sync of it does."""
        path = self.roots[side] / slug / "state.json"
        if not path.exists():
            return
        data, mtime = path.read_bytes(), path.stat().st_mtime_ns
        seen = replace(
            self.copies.get((side, slug), Seen(str(path.parent))), mtime=mtime, bad=True, gone=False
        )
        if data != b"[]":
            document = json.loads(data)
            stamp = float("-inf")
            if document.get("updated_at"):
                written = datetime.fromisoformat(document["updated_at"]).timestamp()
                stamp = written if written <= mtime / 1e9 + 60 else stamp
            digest = hashlib.sha256(data).hexdigest()
            seen = replace(seen, topic=document["topic"], digest=digest, stamp=stamp, bad=False)
        self.copies[side, slug] = seen
        self.decide(slug)

    def decide(self, slug: str) -> None:
        """Say which copy the session shows."""
        copies = {side: seen for (side, name), seen in self.copies.items() if name == slug}
        there = {
            side: seen
            for side, seen in copies.items()
            if seen.digest and not seen.gone and side not in self.missing
        }
        if there:
            side = max(there, key=lambda s: (there[s].stamp, there[s].mtime, there[s].path))
            self.rows[slug] = Row(there[side].topic, there[side].digest, side, there[side].bad)
        elif slug in self.rows and all(seen.gone for seen in copies.values()):
            self.rows[slug] = replace(self.rows[slug], tombstone=True)

    def settle(self) -> None:
        """Look at everything twice, as two reconciles do."""
        for side in SIDES:
            if self.roots[side].is_dir() is (side in self.missing):
                self.missing ^= {side}
                for slug in SLUGS:
                    self.decide(slug)
            for slug in SLUGS:
                self.see(side, slug)
        for (side, slug), seen in self.copies.items():
            if side not in self.missing and not (self.roots[side] / slug / "state.json").exists():
                self.copies[side, slug] = replace(seen, gone=True)
                self.decide(slug)


class FilesMachine(RuleBasedStateMachine):
    """Two checkouts of one project, changed at will."""

    database: mirrors.Database
    base: Path
    numbers = itertools.count()

    @initialize()
    def begin(self) -> None:
        mirrors.empty(self.database)
        self.world = World(self.database)
        self.here = self.base / f"example-{next(self.numbers)}"
        main = builders.make_project(builders.make_git_repo(self.here / "main"))
        tree = builders.make_project(builders.make_worktree(main, self.here / "tree"))
        self.roots = {"main": main / "agents/sessions", "tree": tree / "agents/sessions"}
        self.places = {side: self.world.place(root) for side, root in self.roots.items()}
        self.oracle = Oracle(self.roots)

    def teardown(self) -> None:
        if hasattr(self, "roots"):
            self.reconcile_twice()
            shutil.rmtree(self.here)

    @rule(side=SIDE, slug=SLUG, topic=st.sampled_from("xyz"), stamp=STAMPS, time=TIMES)
    def write(self, side: str, slug: str, topic: str, stamp: str | None, time: int) -> None:
        document = {"topic": topic, "updated_at": stamp, "commits": [{"sha": topic * 7}] * len(topic)}
        builders.make_session(self.roots[side], slug, document)
        os.utime(self.roots[side] / slug / "state.json", (time, time))

    @rule(side=SIDE, slug=SLUG)
    def spoil(self, side: str, slug: str) -> None:
        builders.make_session(self.roots[side], slug, b"[]")

    @rule(side=SIDE, slug=SLUG)
    def delete(self, side: str, slug: str) -> None:
        shutil.rmtree(self.roots[side] / slug, ignore_errors=True)

    @rule(side=SIDE, slug=SLUG, other=SLUG)
    def rename(self, side: str, slug: str, other: str) -> None:
        source, target = self.roots[side] / slug, self.roots[side] / other
        if source.exists() and not target.exists():
            source.rename(target)

    @rule(slug=SLUG, side=SIDE)
    def copy_across(self, slug: str, side: str) -> None:
        source, target = self.roots[side] / slug, self.roots[SIDES[side == "main"]] / slug
        if source.exists():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target)

    @rule(side=SIDE)
    def remove_root(self, side: str) -> None:
        shutil.rmtree(self.roots[side], ignore_errors=True)

    @rule(side=SIDE)
    def make_root(self, side: str) -> None:
        self.roots[side].mkdir(exist_ok=True)

    @rule(side=SIDE, slug=SLUG)
    def sync(self, side: str, slug: str) -> None:
        if side not in self.oracle.missing:
            self.world.mirror.sync(self.places[side], [slug])
            self.oracle.see(side, slug)

    @rule()
    def restart(self) -> None:
        again = self.world.restarted()
        again.registrar._places = {place.path: place for place in again.registrar.places()}
        self.world = again

    @rule()
    def reconcile_twice(self) -> None:
        for _ in range(2):
            for root in self.roots.values():
                self.world.confirm(root)
        self.oracle.settle()
        self.compare()
        with mirrors.begun_writes(self.database) as writes:
            for root in self.roots.values():
                self.world.confirm(root)
        assert writes == []

    def compare(self) -> None:
        sides = {place.workspace_id: side for side, place in self.places.items()}
        names = {"c\\xff": "c\udcff"}
        found = {
            names.get(row["slug"], row["slug"]): Row(
                row["topic"],
                row["content_hash"],
                sides[row["workspace_id"]],
                row["error"] is not None,
                row["missing_since"] is not None,
            )
            for row in self.world.rows("sessions")
        }
        assert found == self.oracle.rows
        copies = {
            (sides[row["workspace_id"]], names.get(row["slug"], row["slug"])): (
                row["content_hash"],
                row["error"] is not None,
                row["missing_since"] is not None,
            )
            for row in self.world.rows("session_files")
        }
        expected = {key: (seen.digest, seen.bad, seen.gone) for key, seen in self.oracle.copies.items()}
        assert copies == expected
        shas = {row["session_id"]: row["sha"] for row in self.world.rows("commits")}
        topics = {row["session_id"]: row["topic"] * 7 for row in self.world.rows("sessions")}
        assert shas == topics


def test_any_order_of_changes(mirror_database: mirrors.Database, tmp_path: Path) -> None:
    """Written, spoiled, deleted, renamed, copied, removed: after two looks the rows are the oracle's."""

    class Machine(FilesMachine):
        database = mirror_database
        base = tmp_path

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=10 if mirror_database.is_postgres else 30,
            stateful_step_count=20,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            # Shrinking takes minutes; a failure's steps are printed as they were found.
            phases=[Phase.generate],
        ),
    )
