"""Projects, identities, workspaces, hosts and findings: registered, found, changed, removed."""

import threading
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from sessionlib.db import tables
from sessionlib.db.crud import findings, hosts, identities, projects, workspaces
from sessionlib.db.crud.findings import Finding
from sessionlib.db.crud.workspaces import Root
from sessionlib.db.engine import Database
from sessionlib.errors import RecordNotFoundError, RowRejectedError, UsageError
from sessionlib.models import (
    FALLBACK_IDENTITY_ID,
    IdentityCreate,
    IdentityStatus,
    IdentityUpdate,
    ProjectCreate,
    ProjectStatus,
    ProjectUpdate,
    WorkspaceCreate,
    WorkspaceUpdate,
    derived_id,
)
from tests import worlds


def new_project(slug: str = "garden", key: str | None = None, **values: Any) -> ProjectCreate:
    """Return what is needed to register a project."""
    return ProjectCreate(slug=slug, name=slug.title(), minted_from=key or f"path:{slug}", **values)


# --- projects ------------------------------------------------------------------------------------


def test_project_is_registered_whole(database: Database) -> None:
    """All fields are stored, the id comes from the key, and the key is an alias."""
    with database.write() as connection:
        owner = identities.create(connection, IdentityCreate(name="Ann"))
        made = projects.create(
            connection,
            new_project(
                status=ProjectStatus.PAUSED,
                phase="beta",
                description="walls",
                default_identity_id=owner.identity_id,
            ),
        )
        assert projects.get(connection, made.project_id) == made
        assert [alias.alias for alias in projects.aliases_of(connection, made.project_id)] == ["path:garden"]
    assert made.project_id == derived_id("project", "path:garden")
    assert (made.slug, made.name, made.status, made.phase) == ("garden", "Garden", "paused", "beta")
    assert made.default_identity_id == owner.identity_id


def test_project_created_twice(database: Database) -> None:
    """The same key gives the project that is there, unchanged."""
    with database.write() as connection:
        first = projects.create(connection, new_project())
        again = projects.create(connection, new_project("other", "path:garden"))
        assert again == first
        assert projects.listed(connection) == [first]


def test_slug_collision(database: Database) -> None:
    """A second project of the same name gets a suffix from its id; a third clash is a usage error."""
    with database.write() as connection:
        first = projects.create(connection, new_project(key="path:a"))
        second = projects.create(connection, new_project(key="path:b"))
        assert second.slug == f"garden-{second.project_id.hex[:6]}"
        assert [project.slug for project in projects.listed(connection)] == [first.slug, second.slug]
        third = derived_id("project", "path:c")
        projects.create(connection, new_project(f"garden-{third.hex[:6]}", "path:d"))
        with pytest.raises(UsageError, match="'garden'"):
            projects.create(connection, new_project(key="path:c"))


def test_key_of_a_project_that_moved_away(database: Database) -> None:
    """A folder made where a project was before it moved is a project of its own."""
    with database.write() as connection:
        moved = projects.create(connection, new_project(key="path:/a"))
        projects.add_aliases(connection, moved.project_id, ["path:/b"])
        projects.drop_aliases(connection, moved.project_id, ["path:/a"])
        fresh = projects.create(connection, new_project(key="path:/a"))
        assert fresh.project_id != moved.project_id
        assert projects.by_alias(connection, ["path:/a"]) == fresh.project_id
        assert projects.by_alias(connection, ["path:/b"]) == moved.project_id
        assert projects.create(connection, new_project(key="path:/a")) == fresh


def test_two_processes_register_one_name(postgres_url: str) -> None:
    """Projects of one folder name that are registered at the same moment both succeed."""
    databases = [Database(postgres_url), Database(postgres_url)]
    barrier = threading.Barrier(2)
    slugs: list[str] = []

    def register(number: int) -> None:
        barrier.wait(5)
        with databases[number].write() as connection:
            made = projects.create(connection, new_project("garden", f"path:{number}"))
            slugs.append(made.slug)

    threads = [threading.Thread(target=register, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(slugs) == 2
    assert "garden" in slugs
    for database in databases:
        database.close()


def test_find_project(database: Database) -> None:
    """By slug in any case, by a name alias, by id; else the nearest names are the hint."""
    with database.write() as connection:
        wall = projects.create(connection, new_project("garden-wall"))
        path = projects.create(connection, new_project("Garden-Path"))
        tree = projects.create(connection, new_project("ärger"))
        projects.add_aliases(connection, wall.project_id, ["name:bricks"])
        for name, found in {
            "garden-wall": wall,
            "GARDEN-WALL": wall,
            "BRICKS": wall,
            str(path.project_id): path,
            "garden-path": path,
            "ÄRGER": tree,
        }.items():
            assert projects.find(connection, name) == found, name
        with pytest.raises(RecordNotFoundError, match="'garden-wal'") as caught:
            projects.find(connection, "garden-wal")
        assert caught.value.nearest[0] == "garden-wall"
        assert "garden-wall" in str(caught.value.hint)
        for unknown in ("zzz", "", str(uuid4())):
            with pytest.raises(RecordNotFoundError) as caught:
                projects.find(connection, unknown)
            assert caught.value.nearest == ()
            assert caught.value.hint == "`sessionctl projects` lists them all"


def test_slugs_that_differ_in_case_only(database: Database) -> None:
    """The exact slug wins; where none is exact, both are the hint."""
    with database.write() as connection:
        lower = projects.create(connection, new_project("wall", "path:1"))
        upper = projects.create(connection, new_project("WALL", "path:2"))
        assert projects.find(connection, "wall") == lower
        assert projects.find(connection, "WALL") == upper
        with pytest.raises(RecordNotFoundError) as caught:
            projects.find(connection, "Wall")
        assert set(caught.value.nearest) == {"wall", "WALL"}


def test_change_project(database: Database) -> None:
    """What was set is written, None as NULL; what was not set stays; a taken slug is refused."""
    with database.write() as connection:
        made = projects.create(connection, new_project(phase="beta", description="walls"))
        other = projects.create(connection, new_project("shed"))
        changed = projects.change(
            connection, made.project_id, ProjectUpdate(phase=None, status=ProjectStatus.ARCHIVED)
        )
        assert (changed.phase, changed.description, changed.status) == (None, "walls", "archived")
        assert changed.updated_at >= made.updated_at
        assert projects.get(connection, other.project_id) == other
        same = projects.change(connection, made.project_id, ProjectUpdate(slug="garden"))
        assert same.slug == "garden"
        with pytest.raises(UsageError, match="'shed'"):
            projects.change(connection, made.project_id, ProjectUpdate(slug="shed"))
        with pytest.raises(RecordNotFoundError):
            projects.change(connection, uuid4(), ProjectUpdate(name="x"))


def test_aliases(database: Database) -> None:
    """An alias belongs to one project: the first to have it, until it is dropped, moved or claimed."""
    with database.write() as connection:
        wall = projects.create(connection, new_project("wall")).project_id
        path = projects.create(connection, new_project("path")).project_id
        projects.add_aliases(connection, wall, ["name:a", "name:b"])
        projects.add_aliases(connection, path, ["name:b", "name:c"])
        assert projects.by_alias(connection, ["name:b"]) == wall
        assert projects.by_alias(connection, ["name:x", "name:c", "name:a"]) == path
        assert projects.by_alias(connection, []) is None
        projects.claim_alias(connection, wall, "name:a")
        projects.claim_alias(connection, wall, "name:d")
        with pytest.raises(UsageError, match="belongs to project path") as caught:
            projects.claim_alias(connection, wall, "name:c")
        assert "projects merge path" in str(caught.value.hint)
        projects.drop_aliases(connection, path, ["name:a", "name:c"])
        assert projects.by_alias(connection, ["name:a", "name:c"]) == wall
        projects.move_aliases(connection, wall, path)
        assert projects.aliases_of(connection, wall) == []
        names = [alias.alias for alias in projects.aliases_of(connection, path)]
    assert names == ["name:a", "name:b", "name:d", "path:path", "path:wall"]


def test_remove_leaves_no_rows(database: Database) -> None:
    """Removing a project removes its rows from every table, and nobody else's."""
    mirror = [table for table in tables.metadata.sorted_tables if "project_id" in table.columns]
    with database.write() as connection:
        gone, kept = worlds.add_place(connection, "gone"), worlds.add_place(connection, "kept")
        worlds.write_one_of_everything(connection, gone, "a")
        worlds.write_one_of_everything(connection, kept, "b")
        for table in mirror:
            rows = select(func.count()).where(table.c.project_id == gone.project_id)
            assert connection.scalar(rows), f"{table.name} takes no part in the test"
        projects.remove(connection, gone.project_id)
        for table in mirror:
            owners = list(connection.scalars(select(table.c.project_id)))
            assert set(owners) == {kept.project_id}, table.name
        projects.remove(connection, gone.project_id)


# --- identities ----------------------------------------------------------------------------------


def test_fallback_identity_is_seeded(database: Database) -> None:
    """The identity that stands where no rule names one is there from the first migration."""
    with database.read() as connection:
        fallback = identities.get(connection, FALLBACK_IDENTITY_ID)
        assert (fallback.name, fallback.status) == ("unassigned", IdentityStatus.ACTIVE)
        assert identities.find(connection, "UNASSIGNED") == fallback


def test_identity_names_ignore_case(database: Database) -> None:
    """A name in another case, of any script, is the same identity."""
    with database.write() as connection:
        for name, alike in (("Ann", "aNN"), ("Ärger", "äRGER"), ("Straße", "STRASSE")):
            made = identities.create(connection, IdentityCreate(name=name, platform="p", description="d"))
            assert identities.create(connection, IdentityCreate(name=alike)) == made
            assert identities.find(connection, alike) == made
            assert (made.name, made.platform, made.description) == (name, "p", "d")


def test_name_of_a_renamed_identity(database: Database) -> None:
    """The old name of an identity is free for another, and names stay unique in any case."""
    with database.write() as connection:
        first = identities.create(connection, IdentityCreate(name="Ann"))
        renamed = identities.change(connection, first.identity_id, IdentityUpdate(name="Berta"))
        assert renamed.identity_id == first.identity_id
        second = identities.create(connection, IdentityCreate(name="ann"))
        assert (second.name, second.identity_id == first.identity_id) == ("ann", False)
        with pytest.raises(UsageError, match="'Berta'"):
            identities.change(connection, second.identity_id, IdentityUpdate(name="BERTA"))
        cased = identities.change(connection, second.identity_id, IdentityUpdate(name="ANN"))
        assert cased.name == "ANN"


def test_change_identity(database: Database) -> None:
    """None writes NULL, silence leaves the value, and an unknown id is an error."""
    with database.write() as connection:
        made = identities.create(connection, IdentityCreate(name="Ann", platform="p", description="d"))
        changed = identities.change(
            connection,
            made.identity_id,
            IdentityUpdate(platform=None, status=IdentityStatus.ARCHIVED),
        )
        assert (changed.platform, changed.description, changed.status) == (None, "d", "archived")
        for wrong in (UUID(int=0), uuid4()):
            with pytest.raises(RecordNotFoundError, match="identity"):
                identities.change(connection, wrong, IdentityUpdate(name="x"))
        with pytest.raises(RecordNotFoundError) as caught:
            identities.find(connection, "anne")
        assert caught.value.nearest == ("Ann",)


def test_identity_summaries(database: Database) -> None:
    """Identities by name, with the number of projects that have each as their default."""
    with database.write() as connection:
        ann = identities.create(connection, IdentityCreate(name="Ann"))
        for slug in ("a", "b"):
            projects.create(connection, new_project(slug, default_identity_id=ann.identity_id))
        projects.create(connection, new_project("c"))
        lines = identities.summaries(connection)
    assert [(line.name, line.default_of) for line in lines] == [("Ann", 2), ("unassigned", 0)]
    with pytest.raises(RowRejectedError), database.write() as connection:
        projects.create(connection, new_project("d", default_identity_id=uuid4()))


# --- workspaces, hosts, findings -----------------------------------------------------------------


def new_workspace(place: worlds.Place, path: str) -> WorkspaceCreate:
    """Return what is needed to register a workspace."""
    return WorkspaceCreate(
        project_id=place.project_id, host_id=place.host_id, path=path, dev=-1, inode=(1 << 63) - 1
    )


def test_workspaces(database: Database) -> None:
    """Registered once a place, listed by path, changed field by field, removed with their copies."""
    with database.write() as connection:
        place = worlds.add_place(connection)
        made = workspaces.create(connection, new_workspace(place, "/b"))
        assert workspaces.create(connection, new_workspace(place, "/b")) == made
        assert (made.dev, made.inode, made.registered) == (-1, (1 << 63) - 1, False)
        paths = [workspace.path for workspace in workspaces.of_host(connection, place.host_id)]
        assert paths == ["/b", "/home/ann/garden"]
        assert workspaces.of_project(connection, place.project_id)[0] == made
        assert workspaces.of_host(connection, uuid4()) == []
        changed = workspaces.change(
            connection,
            made.workspace_id,
            WorkspaceUpdate(overrides={"a": [1]}, missing_since=worlds.T0, project_type="web"),
        )
        assert (changed.overrides, changed.missing_since, changed.path) == ({"a": [1]}, worlds.T0, "/b")
        back = workspaces.change(
            connection, made.workspace_id, WorkspaceUpdate(overrides=None, missing_since=None)
        )
        assert (back.overrides, back.missing_since, back.project_type) == (None, None, "web")
        assert workspaces.change(connection, made.workspace_id, WorkspaceUpdate()) == back
        workspaces.remove(connection, made.workspace_id)
        with pytest.raises(RecordNotFoundError, match="workspace"):
            workspaces.get(connection, made.workspace_id)
        with pytest.raises(RecordNotFoundError):
            workspaces.change(connection, uuid4(), WorkspaceUpdate(path="/x"))


def test_place_of_a_workspace_that_moved_away(database: Database) -> None:
    """A checkout made where another of the same project was before it moved is a workspace of its own."""
    with database.write() as connection:
        place = worlds.add_place(connection)
        moved = workspaces.create(connection, new_workspace(place, "/a"))
        workspaces.change(connection, moved.workspace_id, WorkspaceUpdate(path="/b"))
        fresh = workspaces.create(connection, new_workspace(place, "/a"))
        assert (fresh.path, fresh.workspace_id == moved.workspace_id) == ("/a", False)
        assert workspaces.get(connection, moved.workspace_id).path == "/b"


def test_roots(database: Database) -> None:
    """A root is registered once, written anew as it is seen, and listed with its workspace."""
    with database.write() as connection:
        place = worlds.add_place(connection)
        root = Root(place.project_id, place.workspace_id, "agents/sessions", 1, 2, None, None)
        workspaces.put_root(connection, root)
        workspaces.put_root(connection, root._replace(root="apps/x/agents/sessions"))
        seen = root._replace(inode=3, missing_since=worlds.T0, reconciled_at=worlds.T0)
        workspaces.put_root(connection, seen)
        found = workspaces.roots_of(connection, place.workspace_id)
        assert list(found) == ["agents/sessions", "apps/x/agents/sessions"]
        assert found["agents/sessions"] == seen
        assert workspaces.roots_of(connection, uuid4()) == {}


def test_hosts(database: Database) -> None:
    """A host keeps its heartbeat when its name is noted again."""
    host_id = uuid4()
    with database.write() as connection:
        hosts.ensure(connection, host_id, "anvil")
        assert hosts.last_beats(connection) == {host_id: None}
        hosts.beat(connection, host_id, worlds.T0)
        hosts.ensure(connection, host_id, "renamed")
        assert hosts.last_beats(connection) == {host_id: worlds.T0}
        assert connection.scalar(select(tables.hosts.c.name)) == "renamed"


def test_findings(database: Database) -> None:
    """A finding is open until it is resolved, kept as one when seen again, and may open anew."""
    with database.write() as connection:
        place = worlds.add_place(connection)
        mine = place.project_id, place.workspace_id
        findings.open_finding(connection, *mine, Finding("mass", "root b", "50 gone"))
        findings.open_finding(connection, *mine, Finding("mass", "root a", "60 gone"))
        findings.open_finding(connection, *mine, Finding("mass", "root b", "70 gone"))
        findings.open_finding(connection, place.project_id, None, Finding("mass", "root b", "everywhere"))
        findings.open_finding(connection, *mine, Finding("drift", "x", "y"))
        assert findings.listed(connection)[:2] == [
            Finding("drift", "x", "y"),
            Finding("mass", "root a", "60 gone"),
        ]
        assert {found.message for found in findings.listed(connection)[2:]} == {"70 gone", "everywhere"}
        findings.resolve(connection, *mine, "mass", "root a")
        left = {found.message for found in findings.listed(connection)}
        assert left == {"y", "70 gone", "everywhere"}
        findings.resolve(connection, *mine, "mass", "root b")
        assert [found.message for found in findings.listed(connection)] == ["y", "everywhere"]
        findings.resolve(connection, place.project_id, None, "mass", "root b")
        findings.open_finding(connection, *mine, Finding("mass", "root a", "again"))
        assert [found.message for found in findings.listed(connection)] == ["y", "again"]
        assert connection.scalar(select(func.count()).select_from(tables.findings)) == 4
