"""A desk: sessions on one side, a client that works on the other, and both bridges into one database."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sessionlib.db.engine import Database
from sessionlib.sync.ingest import upkeep
from tests import builders
from tests.ingesting import House
from tests.mirrors import HOST, World
from tests.talks import Talk, stamp

DAY = datetime(2026, 3, 2, tzinfo=UTC)
SESSIONS = "agents/sessions"
ONE = "conversation-one"


def hour(count: float) -> datetime:
    """Return a time of that day."""
    return DAY + timedelta(hours=count)


class Desk:
    """A project with sessions, a client that works in it, and both bridges."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.project = folder / "shop"
        self.root = self.project / SESSIONS
        self.root.mkdir(parents=True)
        self.world = World(database)
        self.house = House(database, folder, registrar=self.world.registrar, host=HOST)
        self.count = 0

    def session(self, slug: str, **more: Any) -> None:
        """Write a session that has been in build since 10 o'clock, mirror it, and count by it."""
        self.write(slug, **more)
        self.mirror()

    def write(self, slug: str, **more: Any) -> None:
        """Write a session that has been in build since 10 o'clock."""
        document = {
            "session_id": slug,
            "topic": slug,
            "current_phase": "build",
            "status": "active",
            "created_at": stamp(hour(8)),
            "updated_at": stamp(hour(12)),
            "phase_history": {
                "spec_started_at": stamp(hour(8)),
                "plan_started_at": stamp(hour(9)),
                "build_started_at": stamp(hour(10)),
            },
            "build_progress": {"checkpoints_total": 3, "current_checkpoint": 2, "checkpoints_completed": [1]},
        } | more
        builders.make_session(self.root, slug, document)

    def mirror(self) -> None:
        """Bring the files into the database, and count anew what they say something of."""
        self.world.reconcile(self.root)
        changed = self.world.rows("sessions")
        for row in changed:
            list(
                upkeep.settle_sessions(
                    self.house.database, self.house.ingester, row["project_id"], [row["session_id"]]
                )
            )

    def talk(self, start: datetime, native_id: str = "") -> Talk:
        """Begin a conversation in the project."""
        self.count += 1
        self.last = Talk(self.house.config, self.project, native_id or f"conversation-{self.count}", start)
        return self.last

    def counted(self) -> dict[tuple[str, str, int], int]:
        """Return the tokens of output by session, phase and checkpoint."""
        slugs = {str(row["session_id"]): row["slug"] for row in self.world.rows("sessions")}
        found: dict[tuple[str, str, int], int] = {}
        for row in self.house.rows("usage_totals"):
            key = slugs.get(row["session_key"], ""), row["phase"], row["checkpoint_number"]
            found[key] = found.get(key, 0) + row["output_tokens"]
        return found

    def link(self, slug: str, native_id: str, at: datetime, **more: Any) -> dict[str, Any]:
        """Return what a session's document says of a conversation."""
        return {"client": "claude-code", "native_id": native_id, "linked_at": stamp(at)} | more
