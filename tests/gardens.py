"""Two projects with sessions, commits, decisions and histories: a small world whose answers are known."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, delete, update

from sessionlib.db import tables
from sessionlib.db.queries import history, session_lists
from sessionlib.db.rows import SessionRow
from tests import worlds
from tests.worlds import hours

NOW = hours(1000)
SHA = "abcdef0123456789abcdef0123456789abcdef01"


class World:
    """Two projects with sessions, one without; three workspaces on two hosts."""

    def __init__(self, connection: Connection) -> None:
        self.garden = worlds.add_place(connection, "garden")
        shed_id = worlds.add_project(connection, "shed", "Shed")
        worlds.add_project(connection, "empty", "Empty")
        worlds.add_project(connection, "also-empty", "Also empty")
        other = worlds.add_host(connection, "bench", beat=hours(7))
        self.shed = worlds.Place(
            shed_id,
            other,
            worlds.add_workspace(connection, shed_id, other, "/srv/shed", reconciled_at=hours(9)),
        )
        worlds.add_workspace(
            connection, self.garden.project_id, other, "/srv/garden-2", missing_since=hours(3)
        )
        self.rows = {row.slug: row for row in self._sessions()}
        worlds.write_sessions(
            connection,
            list(self.rows.values()),
            commits=self._commits(),
            decisions=self._decisions(),
            versions=self._versions(),
        )
        self._copies(connection)

    def _sessions(self) -> Iterator[SessionRow]:
        def row(place: worlds.Place, slug: str, at: float, **changed: Any) -> SessionRow:
            stamps = {"activity_at": hours(at), "content_changed_at": hours(at)}
            return worlds.session(place, slug, **(stamps | changed))

        done = {"current_phase": "complete", "status": "complete", "effective_status": "complete"}
        garden, shed = self.garden, self.shed
        yield row(
            garden,
            "wall",
            10,
            topic="Garden WALL",
            description="100% stone",
            checkpoints_total=4,
            checkpoints_completed=1,
            checkpoints_total_source="declared",
            current_checkpoint=2,
            git_branch="main",
        )
        yield row(
            garden,
            "path",
            20,
            topic="Foot_path",
            checkpoints_total=3,
            checkpoints_completed=3,
            session_type="quick",
            git_branch="feature/path",
        )
        yield row(
            garden, "pond", 15, checkpoints_total=2, checkpoints_completed=2, topic="Ärger im Teich", **done
        )
        yield row(
            garden,
            "gate",
            10,
            current_phase="plan",
            status="paused",
            effective_status="paused",
            git_branch="main",
        )
        yield row(garden, "lost", 30, topic="Garden lost", missing_since=hours(40), checkpoints_total=9)
        yield row(
            garden,
            "tree",
            5,
            status="failed",
            effective_status="failed",
            checkpoints_total=1,
            checkpoints_completed=1,
            error="cannot be read",
        )
        yield row(
            garden, "seed", 1, current_phase=None, status=None, session_type=None, checkpoints_completed=2
        )
        yield row(
            shed,
            "shed-wall",
            10,
            current_phase="spec",
            topic="Shed wall",
            description="back\\slash 100 stone",
            session_type="research",
        )
        yield row(shed, "roof", 25, current_phase="docs", checkpoints_total=5, checkpoints_completed=6)
        yield row(
            shed,
            "floor",
            25,
            current_phase="complete",
            status=None,
            checkpoints_total=1,
            checkpoints_completed=1,
        )

    def _commits(self) -> Iterator[Any]:
        yield worlds.commit(self.rows["wall"], 0, SHA, checkpoint=1, created_at=hours(2))
        yield worlds.commit(self.rows["wall"], 1, "1234567", created_at=None)
        yield worlds.commit(self.rows["path"], 0, "abcdef0", message=None, created_at=hours(3))
        yield worlds.commit(self.rows["roof"], 0, "abcdef9", created_at=None)
        yield worlds.commit(self.rows["lost"], 0, "fffffff", created_at=hours(4))

    def _decisions(self) -> Iterator[Any]:
        yield worlds.decision(self.rows["wall"], 0, "Use Stone", rationale="50% stronger")
        yield worlds.decision(self.rows["wall"], 1, "Use lime_mortar", decided_at=None)
        yield worlds.decision(self.rows["roof"], 0, "Slate", rationale="lasts like STONE")
        yield worlds.decision(self.rows["lost"], 0, "Use stone")

    def _versions(self) -> Iterator[Any]:
        def of(slug: str, *seen: tuple[str | None, float], **changed: Any) -> Iterator[Any]:
            for seq, (phase, at) in enumerate(seen, 1):
                yield worlds.version(self.rows[slug], seq, phase, hours(at), **changed)

        yield from of("wall", ("spec", 0), ("plan", 1), ("build", 1.5), ("build", 10))
        yield from of("pond", ("spec", 0), ("build", 2), ("complete", 3), ("complete", 15))
        yield from of("seed", ("spec", 0), (None, 1), ("plan", 3), (None, 4))
        yield from of("lost", ("build", 30))
        yield from of("tree", ("build", 5), status="failed")
        row = self.rows["floor"]
        yield worlds.version(row, 1, "docs", hours(24))
        yield worlds.version(row, 2, "complete", hours(24) + timedelta(seconds=1, microseconds=234_567))

    def _copies(self, connection: Connection) -> None:
        files = tables.session_files
        here = {slug: row.session_id for slug, row in self.rows.items()}
        for slug in ("gate", "lost"):
            connection.execute(
                update(files)
                .where(files.c.session_id == here[slug])
                .values(error="is torn", observed_at=hours(8))
            )
        connection.execute(delete(files).where(files.c.session_id == here["floor"]))

    def live(self) -> list[SessionRow]:
        """Return the rows whose files are there."""
        return [row for row in self.rows.values() if row.missing_since is None]


def stop_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the questions' clock stand at `NOW`."""
    for module in (session_lists, history):
        monkeypatch.setattr(module, "utc_now", lambda: NOW)


def slugs(rows: Any) -> list[str]:
    """Return the sessions' slugs in order."""
    return [row.slug for row in rows]


Matches = Callable[[World, SessionRow], bool]
FILTERS: list[tuple[dict[str, Any], Matches]] = [
    ({"phase": "build"}, lambda _, row: row.current_phase == "build"),
    ({"status": "active"}, lambda _, row: row.effective_status == "active"),
    ({"project": "garden"}, lambda world, row: row.project_id == world.garden.project_id),
    ({"session_type": "full"}, lambda _, row: row.session_type == "full"),
    ({"min_checkpoints": 3}, lambda _, row: (row.checkpoints_total or 0) >= 3),
    ({"min_completed": 1}, lambda _, row: row.checkpoints_completed >= 1),
    (
        {"text": "wAlL"},
        lambda _, row: any(
            "wall" in (words or "").lower() for words in (row.slug, row.topic, row.description)
        ),
    ),
    ({"branch": "main"}, lambda _, row: row.git_branch == "main"),
]
