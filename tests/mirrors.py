"""A mirror without threads for tests: real files, a real database, a clock that moves when told to."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, event, select, text, update

from sessionlib.db import tables
from sessionlib.db.engine import Database
from sessionlib.sync.mirror import Mirror, Outcome, Result
from sessionlib.sync.places import Place
from sessionlib.sync.reconcile import Reconciler, Report
from sessionlib.sync.registrar import Host, Registrar
from sessionlib.sync.ticket import Ticket
from tests import builders

HOST = Host(UUID(int=1), "testhost")
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
REMOTE = "git@example.org:garden/wall.git"


def template_name() -> str:
    """Return the name of this run's template database."""
    return f"sessiond_template_{os.getpid()}"


def shared_name() -> str:
    """Return the name of the PostgreSQL database that many tests share."""
    return f"sessiond_shared_{os.getpid()}"


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def tick(self, seconds: float = 6.0) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


class World:
    """Files on one side, a database on the other, and the bridge between them, driven by hand."""

    def __init__(self, database: Database, host: Host = HOST, clock: Clock | None = None) -> None:
        self.database = database
        self.clock = clock or Clock()
        self.registrar = Registrar(database, host)
        self.mirror = Mirror(database, now=self.clock)
        self.reconciler = Reconciler(database, self.mirror, self._submit, now=self.clock)
        self.queued: list[Path] = []

    def _submit(self, paths: Iterable[Path]) -> Ticket:
        todo = list(paths)
        self.queued += todo
        ticket = Ticket(len(todo))
        for result in self._sync_all(todo):
            ticket.done(result.outcome)
        return ticket

    def _sync_all(self, paths: list[Path]) -> list[Result]:
        if not paths:
            return []
        return self.mirror.sync(self.place(paths[0].parent), [path.name for path in paths])

    def restarted(self) -> "World":
        """Return another process's view of the same database, at the same time."""
        return World(self.database, clock=self.clock)

    def place(self, root: Path) -> Place:
        return self.registrar.place_of(root)

    def sync(self, *session_dirs: Path) -> list[Result]:
        """Sync these folders of one root."""
        return self._sync_all(list(session_dirs))

    def reconcile(self, root: Path, *, accept_missing: bool = False) -> Report:
        """Compare a root; what differs is synced at once."""
        self.queued = []
        return self.reconciler.reconcile(self.place(root), accept_missing=accept_missing)

    def round(self, *roots: Path) -> list[Report]:
        """Compare roots as a round over everything does: what is stored of all of them is read first."""
        self.queued = []
        self.registrar.look_up(roots)
        places = [self.place(root) for root in roots]
        picture = self.reconciler.picture(places)
        return [self.reconciler.reconcile(place, picture=picture) for place in places]

    def confirm(self, root: Path, *, accept_missing: bool = False) -> Report:
        """Let the time between two looks pass and compare again."""
        self.clock.tick()
        return self.reconcile(root, accept_missing=accept_missing)

    def rows(self, table: str, **where: Any) -> list[dict[str, Any]]:
        """Return the rows of a table, by primary key, as dicts."""
        found = tables.metadata.tables[table]
        statement = select(found).order_by(*found.primary_key.columns)
        for name, value in where.items():
            statement = statement.where(found.c[name] == value)
        with self.database.read() as connection:
            return [dict(row._mapping) for row in connection.execute(statement)]

    def session(self, slug: str) -> dict[str, Any]:
        """Return the one row of a session."""
        (row,) = self.rows("sessions", slug=slug)
        return row

    def file(self, slug: str) -> dict[str, Any]:
        """Return the one copy of a session."""
        (row,) = self.rows("session_files", slug=slug)
        return row

    def everything(self, kinds: Iterable[str] = ("key", "derived", "observed")) -> dict[str, Any]:
        """Return all rows of all tables, only the columns of these kinds."""
        wanted = set(kinds)
        return {
            table.name: [
                tuple(row[c.name] for c in table.columns if c.info["kind"] in wanted)
                for row in self.rows(table.name)
            ]
            for table in tables.metadata.sorted_tables
        }

    def derived(self) -> dict[str, Any]:
        """Return all keys and derived columns but those of the history."""
        found = self.everything(("key", "derived"))
        return {name: rows for name, rows in found.items() if name != "session_versions"}


@contextmanager
def begun_writes(database: Database) -> Iterator[list[None]]:
    """Count the transactions opened for writing inside the block."""
    begun: list[None] = []

    def note(connection: Any) -> None:
        if connection.get_execution_options().get("sessiond_write", False):
            begun.append(None)

    event.listen(database.engine, "begin", note)
    try:
        yield begun
    finally:
        event.remove(database.engine, "begin", note)


def empty(database: Database) -> None:
    """Delete every row of the mirror and of the registry; the seeded identities stay."""
    with database.write() as connection:
        for table in reversed(tables.metadata.sorted_tables):
            if table.name != "identities":
                connection.execute(text(f"DELETE FROM {table.name}"))


def age(session_dir: Path, seconds: float, name: str = "state.json") -> None:
    """Set a file's time to so many seconds before it (after it, for negative ones)."""
    path = session_dir / name
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """Collect the statements that SQLAlchemy sends inside the block."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def set_root_device(connection: Connection, dev: int) -> None:
    """Pretend that the sessions roots lay on another device when they were last seen."""
    connection.execute(update(tables.workspace_roots).values(dev=dev))


def set_workspace_inode(connection: Connection, dev: int, inode: int, path: Path | None = None) -> None:
    """Pretend that the workspaces' folders (or the one here) had this identity when they were last seen."""
    statement = update(tables.workspaces).values(dev=dev, inode=inode)
    if path is not None:
        statement = statement.where(tables.workspaces.c.path == str(path))
    connection.execute(statement)


def outcomes(world: World, *session_dirs: Path) -> list[Outcome]:
    """Sync these folders of one root and return what became of them."""
    return [result.outcome for result in world.sync(*session_dirs)]


def shown(world: World, slug: str = "one") -> tuple[Any, ...]:
    """Return the topic of a session and the name of the checkout whose copy it shows."""
    row = world.session(slug)
    (place,) = world.rows("workspaces", workspace_id=row["workspace_id"])
    return row["topic"], Path(place["path"]).name


def stamped(hours: int, **more: Any) -> dict[str, Any]:
    """Return a v2 document whose time is so many hours after T0."""
    return builders.v2(updated_at=builders.at(hours), **more)


def worktree(tmp_path: Path, name: str = "tree") -> tuple[Path, Path]:
    """Return the sessions roots of a repository and of a worktree of it."""
    main = builders.make_project(builders.make_git_repo(tmp_path / "main"))
    tree = builders.make_project(builders.make_worktree(main, tmp_path / name))
    return main / "agents/sessions", tree / "agents/sessions"


def project_at(path: Path, *slugs: str, remote: str | None = None) -> Path:
    """Make a repository with a sessions root and return that root."""
    builders.make_project(builders.make_git_repo(path, remote), slugs)
    return path / "agents/sessions"


def paths(world: World) -> dict[str, str]:
    """Return the project's slug for each workspace, by its path."""
    slugs = {row["project_id"]: row["slug"] for row in world.rows("projects")}
    return {row["path"]: slugs[row["project_id"]] for row in world.rows("workspaces")}
