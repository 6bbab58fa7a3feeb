"""Projects and the aliases by which they are known."""

from collections.abc import Collection, Iterable
from uuid import UUID

from sqlalchemy import Connection, delete, select, update

from sessionlib.db import bulk
from sessionlib.db.crud.changes import nearest, set_fields
from sessionlib.db.tables import project_aliases, projects
from sessionlib.errors import RecordNotFoundError, UsageError
from sessionlib.models import Project, ProjectAlias, ProjectCreate, ProjectUpdate, derived_id, utc_now


def create(connection: Connection, new: ProjectCreate) -> Project:
    """Register a project, known by `minted_from`, the key its id is minted from.

    One that is still known by that key is returned as it is: another process was first. One that moved away
    and freed its key keeps its id, and the new one gets the next. The slug gets a short suffix from the id
    where another project has it already.

    Raises:
        UsageError: Other projects have the slug, with and without the suffix.
    """
    project_id = _mint(connection, new.minted_from)
    now = utc_now()
    for slug in (new.slug, f"{new.slug}-{project_id.hex[:6]}"):
        row = (
            project_id,
            slug,
            new.name,
            new.status.value,
            new.phase,
            new.description,
            new.default_identity_id,
            new.minted_from,
            now,
            now,
        )
        bulk.insert_new(connection, projects, [row])
        if _exists(connection, project_id):
            add_aliases(connection, project_id, [new.minted_from])
            return get(connection, project_id)
    raise _taken(new.slug)


def _mint(connection: Connection, key: str) -> UUID:
    project_id = derived_id("project", key)
    turn = 1
    while _exists(connection, project_id) and by_alias(connection, [key]) != project_id:
        turn += 1
        project_id = derived_id("project", key, turn)
    return project_id


def _exists(connection: Connection, project_id: UUID) -> bool:
    wanted = select(projects.c.project_id).where(projects.c.project_id == project_id)
    return connection.scalar(wanted) is not None


def _taken(slug: str) -> UsageError:
    return UsageError(f"another project is called {slug!r}", hint="choose another name")


def get(connection: Connection, project_id: UUID) -> Project:
    """Return a project.

    Raises:
        RecordNotFoundError: There is none with this id.
    """
    row = connection.execute(select(projects).where(projects.c.project_id == project_id)).one_or_none()
    if row is None:
        raise RecordNotFoundError("project", str(project_id))
    return Project.model_validate(row)


def find(connection: Connection, name: str) -> Project:
    """Return the project with this slug (in any case, if just one has it), name alias or id.

    Raises:
        RecordNotFoundError: There is none; the nearest slugs are its hint.
    """
    rows = connection.execute(select(projects.c.slug, projects.c.project_id).order_by(projects.c.slug))
    slugs: dict[str, UUID] = {row[0]: row[1] for row in rows}
    # Not lower() of the database: that of SQLite knows ASCII only.
    alike = [slug for slug in slugs if slug.casefold() == name.casefold()]
    if name in slugs:
        return get(connection, slugs[name])
    if len(alike) == 1:
        return get(connection, slugs[alike[0]])
    project_id = by_alias(connection, [f"name:{name.lower()}"]) or _as_id(name)
    if project_id is not None and _exists(connection, project_id):
        return get(connection, project_id)
    raise RecordNotFoundError("project", name, nearest=nearest(name, alike or list(slugs)))


def slug_of(connection: Connection, name: str | None) -> str | None:
    """Return the slug of the project that a caller named as `find` takes it; None stays None.

    Raises:
        RecordNotFoundError: There is no such project; the nearest slugs are its hint.
    """
    return None if name is None else find(connection, name).slug


def _as_id(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None


def listed(connection: Connection) -> list[Project]:
    """Return all projects by slug."""
    return [
        Project.model_validate(row) for row in connection.execute(select(projects).order_by(projects.c.slug))
    ]


def slugs(connection: Connection) -> dict[UUID, str]:
    """Return the slugs of all projects."""
    rows = connection.execute(select(projects.c.project_id, projects.c.slug))
    return {row[0]: row[1] for row in rows}


def change(connection: Connection, project_id: UUID, change: ProjectUpdate) -> Project:
    """Write the fields that were set.

    Raises:
        RecordNotFoundError: There is no such project.
        UsageError: Another project has the wanted slug.
    """
    if "slug" in change.model_fields_set:
        owner = connection.scalar(select(projects.c.project_id).where(projects.c.slug == change.slug))
        if owner not in (None, project_id):
            raise _taken(change.slug)
    values = set_fields(change) | {"updated_at": utc_now()}
    connection.execute(update(projects).where(projects.c.project_id == project_id).values(values))
    return get(connection, project_id)


def remove(connection: Connection, project_id: UUID) -> None:
    """Delete a project with its workspaces, its mirror rows and its history; its files are untouched."""
    # These name workspaces and documents without a cascade, so they go first.
    for table in ("conversations", "sessions", "session_files"):
        connection.execute(
            delete(projects.metadata.tables[table]).where(
                projects.metadata.tables[table].c.project_id == project_id
            )
        )
    connection.execute(delete(projects).where(projects.c.project_id == project_id))


def by_alias(connection: Connection, aliases: Iterable[str]) -> UUID | None:
    """Return the project that one of the aliases names, the first alias that is known winning."""
    wanted = list(aliases)
    rows = connection.execute(
        select(project_aliases.c.alias, project_aliases.c.project_id).where(
            project_aliases.c.alias.in_(wanted)
        )
    )
    known = {row[0]: row[1] for row in rows}
    return next((known[alias] for alias in wanted if alias in known), None)


def aliases_among(connection: Connection, aliases: Collection[str]) -> set[str]:
    """Return those of the aliases by which some project is known."""
    wanted = select(project_aliases.c.alias).where(project_aliases.c.alias.in_(list(aliases)))
    return set(connection.scalars(wanted))


def add_aliases(connection: Connection, project_id: UUID, aliases: Iterable[str]) -> None:
    """Let a project be known by these aliases too; one that names another project stays with that."""
    bulk.insert_new(connection, project_aliases, [(alias, project_id, utc_now()) for alias in aliases])


def claim_alias(connection: Connection, project_id: UUID, alias: str) -> None:
    """Let a project be known by this alias, as a person asked.

    Raises:
        UsageError: It names another project.
    """
    owner = by_alias(connection, [alias])
    if owner is not None and owner != project_id:
        other = get(connection, owner)
        raise UsageError(
            f"the alias {alias!r} belongs to project {other.slug}",
            hint=f"merge the two instead: sessionctl projects merge {other.slug} INTO",
        )
    add_aliases(connection, project_id, [alias])


def aliases_of(connection: Connection, project_id: UUID) -> list[ProjectAlias]:
    """Return a project's aliases in order."""
    rows = connection.execute(
        select(project_aliases)
        .where(project_aliases.c.project_id == project_id)
        .order_by(project_aliases.c.alias)
    )
    return [ProjectAlias.model_validate(row) for row in rows]


def drop_aliases(connection: Connection, project_id: UUID, aliases: Iterable[str]) -> None:
    """Let a project no longer be known by these aliases."""
    connection.execute(
        delete(project_aliases).where(
            project_aliases.c.project_id == project_id, project_aliases.c.alias.in_(list(aliases))
        )
    )


def move_aliases(connection: Connection, source: UUID, target: UUID) -> None:
    """Let the target be known by everything the source was."""
    connection.execute(
        update(project_aliases).where(project_aliases.c.project_id == source).values(project_id=target)
    )
