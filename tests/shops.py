"""A house in which conversations are held, as tests tell them step by step."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sessionlib.db.engine import Database
from sessionlib.sync.ingest import upkeep
from tests.ingesting import NOON_NS, House
from tests.talks import Talk

NOON = datetime.fromtimestamp(NOON_NS / 1e9, UTC)
ONE, TWO = "conversation-one", "conversation-two"


class Shop(House):
    """A house with a folder in which conversations are held."""

    def __init__(self, database: Database, folder: Path) -> None:
        super().__init__(database, folder)
        self.folder = folder / "shop"
        self.folder.mkdir()

    def talk(self, native_id: str = ONE, start: datetime = NOON) -> Talk:
        """Begin a conversation."""
        return Talk(self.config, self.folder, native_id, start)

    def hear(self, talk: Talk, event: str, number: int, **more: Any) -> None:
        """Store what a hook says, so many milliseconds after noon."""
        context = more.pop("context", {})
        self.deliver(talk.payload(event, **more), number, **context)
        self.drain()

    def conversation(self, native_id: str = ONE) -> dict[str, Any]:
        """Return a conversation's row."""
        return self.row("conversations", native_id=native_id)

    def sweep(self, at: datetime, alive: Callable[[int], bool] = lambda _pid: False) -> int:
        """Close what nobody closed."""
        idle = timedelta(hours=6)
        host_id = self.host.host_id
        closed = sum(
            upkeep.close_abandoned(self.database, self.ingester, host_id, now=at, idle=idle, alive=alive)
        )
        self.count()
        return closed
