"""Where a conversation belongs: its project and workspace, and the identity it runs as.

The project is decided once, when the conversation is first seen. The identity is the first of these that
names one which is registered and not archived: the environment of the client, a file in the workspace, the
project's default, else the seeded one; a name that nobody knows is passed over with a warning.
"""

import json
import logging
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from sessionlib.db.crud import identities, projects
from sessionlib.db.engine import Database
from sessionlib.models import FALLBACK_IDENTITY_ID, Identity
from sessionlib.models.identity import IdentityStatus
from sessionlib.sync.ingest.joining import Observed
from sessionlib.sync.ingest.owners import Owners

_LOG = logging.getLogger("sessionlib.ingest")

FILE = Path(".claude") / "sessiond.json"
"""In a workspace: an object whose `identity` names the identity of conversations started there."""
_NOTES = Path("CLAUDE.md")
_MOST = 64 * 1024
_FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_NAMED = re.compile(r"^identity(?:_id)?\s*:\s*[\"']?([^\"'\n#]+)", re.MULTILINE)


class Belonging(NamedTuple):
    """Where a conversation belongs, and what told so."""

    project_id: UUID
    workspace_id: UUID | None
    project_source: str
    identity_id: UUID
    identity_source: str


class Chosen(NamedTuple):
    """The identity that was chosen, by which rule, and the (name, rule) before it that were passed over."""

    identity_id: UUID
    source: str
    passed_over: tuple[tuple[str, str], ...] = ()


class Identities:
    """The registered identities at one moment, by name and id.

    Args:
        connection: An open transaction.
    """

    def __init__(self, connection: Connection) -> None:
        found = identities.listed(connection)
        self._known: dict[str, Identity] = {one.name.casefold(): one for one in found}
        self._known |= {str(one.identity_id): one for one in found}

    def usable(self, name: str, source: str) -> UUID | None:
        """Return the id of the identity that is meant; None, with a warning, if it cannot be chosen."""
        found = self._known.get(name.strip().casefold())
        if found is not None and found.status is IdentityStatus.ACTIVE:
            return found.identity_id
        _LOG.warning(
            "identity passed over",
            extra={
                "event": "identity.unknown",
                "fields": {"identity": name, "source": source, "archived": found is not None},
            },
        )
        return None


def belonging(database: Database, owners: Owners, observed: Observed, started_in: str | None) -> Belonging:
    """Decide where a conversation belongs that is seen for the first time.

    Args:
        database: With the current schema.
        owners: Registers its project and workspace if they are new.
        observed: What was seen of the conversation.
        started_in: The folder it was started in, as its transcript's place tells.

    Raises:
        DatabaseError: The database does not answer.
    """
    path, source = _folder(observed, started_in)
    owner = owners.owner_of(path)
    with database.read() as connection:
        known = Identities(connection)
        default = projects.get(connection, owner.project_id).default_identity_id
        # The environment's is taken whenever it is heard of, so it is no rule of the beginning.
        found = chosen(known, names(owner.path, default))
    return Belonging(owner.project_id, owner.workspace_id, source, found.identity_id, found.source)


def _folder(observed: Observed, started_in: str | None) -> tuple[Path | None, str]:
    for value, source in (
        (_value(observed, "project_dir"), "client"),
        (started_in, "transcript"),
        (_value(observed, "cwd"), "cwd"),
    ):
        if value and os.path.isabs(value):  # noqa: PTH117 - of a text that may be no path at all
            return Path(value), source
    return None, "none"


def _value(observed: Mapping[str, Any], field: str) -> str | None:
    found = observed.get(field)
    return None if found is None else str(found[1])


def names(
    workspace: Path | None, default: UUID | None, environment: str | None = None
) -> Iterator[tuple[str, str]]:
    """Yield what names an identity, and by which rule, in the order in which the rules count.

    Args:
        workspace: The folder whose files may name one.
        default: The project's.
        environment: What the client's environment says.
    """
    if environment:
        yield environment, "environment"
    named = None if workspace is None else named_in(workspace)
    if named is not None:
        yield named, "workspace"
    if default is not None:
        yield str(default), "project"


def chosen(known: Identities, named: Iterable[tuple[str, str]]) -> Chosen:
    """Choose the first that is registered and not archived, else the fallback."""
    passed_over: list[tuple[str, str]] = []
    for name, source in named:
        found = known.usable(name, source)
        if found is not None:
            return Chosen(found, source, tuple(passed_over))
        passed_over.append((name, source))
    return Chosen(FALLBACK_IDENTITY_ID, "fallback", tuple(passed_over))


def named_in(workspace: Path) -> str | None:
    """Return the identity that a workspace's files name, if one does; files that cannot be read name none."""
    text = _content(workspace / FILE)
    if text is not None:
        try:
            tree = json.loads(text)
        except ValueError:
            tree = None
        named = tree.get("identity") if isinstance(tree, dict) else None
        if isinstance(named, str) and named.strip():
            return named.strip()
    front = _FRONT.match(_content(workspace / _NOTES) or "")
    found = _NAMED.search(front[1]) if front is not None else None
    return found[1].strip() if found is not None else None


def _content(path: Path) -> str | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return None
        return os.read(file, _MOST).decode("utf-8", "replace")
    except OSError:
        return None
    finally:
        os.close(file)
