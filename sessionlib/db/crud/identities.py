"""Identities: register, find, change."""

from uuid import UUID

from sqlalchemy import Connection, func, select, update

from sessionlib.db import bulk
from sessionlib.db.crud.changes import nearest, set_fields
from sessionlib.db.tables import identities, projects
from sessionlib.errors import RecordNotFoundError, UsageError
from sessionlib.models import Identity, IdentityCreate, IdentitySummary, IdentityUpdate, derived_id, utc_now


def create(connection: Connection, new: IdentityCreate) -> Identity:
    """Register an identity; one with the same name (in any case) is returned as it is."""
    found = by_name(connection, new.name)
    if found is not None:
        return found
    identity_id = derived_id("identity", new.name.casefold())
    turn = 1
    while _exists(connection, identity_id):
        # It has been renamed since, and keeps its id.
        turn += 1
        identity_id = derived_id("identity", new.name.casefold(), turn)
    now = utc_now()
    row = (identity_id, new.name, new.platform, new.description, "active", now, now)
    bulk.insert_new(connection, identities, [row])
    return find(connection, new.name)


def _exists(connection: Connection, identity_id: UUID) -> bool:
    wanted = select(identities.c.identity_id).where(identities.c.identity_id == identity_id)
    return connection.scalar(wanted) is not None


def get(connection: Connection, identity_id: UUID) -> Identity:
    """Return an identity.

    Raises:
        RecordNotFoundError: There is none with this id.
    """
    row = connection.execute(select(identities).where(identities.c.identity_id == identity_id)).one_or_none()
    if row is None:
        raise RecordNotFoundError("identity", str(identity_id))
    return Identity.model_validate(row)


def listed(connection: Connection) -> list[Identity]:
    """Return all identities by name."""
    rows = connection.execute(select(identities).order_by(identities.c.name))
    return [Identity.model_validate(row) for row in rows]


def by_name(connection: Connection, name: str) -> Identity | None:
    """Return the identity of that name, whatever its case, or None."""
    rows = connection.execute(select(identities.c.name, identities.c.identity_id))
    # Not lower() of the database: that of SQLite knows ASCII only.
    found = next((row[1] for row in rows if row[0].casefold() == name.casefold()), None)
    return None if found is None else get(connection, found)


def find(connection: Connection, name: str) -> Identity:
    """Return the identity of that name.

    Raises:
        RecordNotFoundError: There is none; the nearest names are its hint.
    """
    found = by_name(connection, name)
    if found is None:
        names = list(connection.scalars(select(identities.c.name)))
        raise RecordNotFoundError("identity", name, nearest=nearest(name, names))
    return found


def change(connection: Connection, identity_id: UUID, change: IdentityUpdate) -> Identity:
    """Write the fields that were set.

    Raises:
        RecordNotFoundError: There is no such identity.
        UsageError: Another identity has the wanted name, in any case.
    """
    if "name" in change.model_fields_set:
        owner = by_name(connection, change.name)
        if owner is not None and owner.identity_id != identity_id:
            raise UsageError(f"another identity is called {owner.name!r}", hint="choose another name")
    values = set_fields(change) | {"updated_at": utc_now()}
    connection.execute(update(identities).where(identities.c.identity_id == identity_id).values(values))
    return get(connection, identity_id)


def summaries(connection: Connection) -> list[IdentitySummary]:
    """Return all identities by name, with the number of projects each is the default of."""
    counts = (
        select(projects.c.default_identity_id, func.count().label("n"))
        .group_by(projects.c.default_identity_id)
        .subquery()
    )
    rows = connection.execute(
        select(
            identities.c.identity_id,
            identities.c.name,
            identities.c.status,
            func.coalesce(counts.c.n, 0).label("default_of"),
        )
        .outerjoin(counts, counts.c.default_identity_id == identities.c.identity_id)
        .order_by(identities.c.name)
    )
    return [IdentitySummary.model_validate(row) for row in rows]
