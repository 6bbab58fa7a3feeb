"""`sessionctl identity`: who conversations run as."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessionlib.arguments import a_path, filled
from sessionlib.cli.answer import Answer, Column, Facts, Lines, Table
from sessionlib.cli.context import Context
from sessionlib.cli.text import words
from sessionlib.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sessionlib.models import Identity
    from sessionlib.models.identity import IdentityStatus

_DESCRIPTION = """\
Who conversations run as. The identity of a conversation is the first of these that is registered and
not archived: SESSIOND_IDENTITY in the client's environment, `.claude/sessiond.json` or the head of
CLAUDE.md in the workspace, the project's default, else the fallback. What was decided stays.
"""
_VARIABLE = "SESSIOND_IDENTITY"
_LONGEST = 200

_COLUMNS = (
    Column("identity", lambda row: row["name"], style="bold"),
    Column("platform", lambda row: row["platform"]),
    Column("status", lambda row: row["status"], style=lambda shown: "dim" if shown == "archived" else ""),
    Column("default of", lambda row: row["default_of"], right=True),
    Column("description", lambda row: row["description"]),
)


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = commands.add_parser(
        "identity",
        parents=[common],
        allow_abbrev=False,
        help="who conversations run as: register, choose, list",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    def action(name: str, run: Any, told: str, *arguments: tuple[str, str]) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = actions.add_parser(
            name, parents=[common], allow_abbrev=False, help=told, description=told
        )
        for argument, meaning in arguments:
            made.add_argument(argument.lower(), type=filled, metavar=argument, help=meaning)
        made.set_defaults(run=run, parser=made)
        return made

    action("list", list_all, "list the identities, and how many projects each is the default of")
    adding = action("add", register, "register an identity", ("NAME", "what it is called"))
    adding.add_argument("--platform", metavar="P", help="the client or machine it stands for")
    adding.add_argument("--description", metavar="D", help="what it is for")
    choosing = action(
        "default",
        set_default,
        "let a project's conversations run as an identity, from the next one on",
        ("PROJECT", "name, alias or id of a project"),
    )
    choosing.add_argument("name", nargs="?", type=filled, metavar="NAME", help="the identity")
    choosing.add_argument("--none", action="store_true", help="none: they run as the fallback")
    action("archive", archive, "let an identity be chosen no more", ("NAME", "the identity"))
    action("restore", restore, "let an archived identity be chosen again", ("NAME", "the identity"))
    which_one = action("which", which, "say whom a conversation would run as that is started in a folder")
    which_one.add_argument("path", nargs="?", type=a_path, metavar="PATH", help="the folder; else this one")


def list_all(context: Context) -> Answer:
    """List all identities."""
    from sessionlib.db.crud import identities

    with context.current_database() as database, database.read() as connection:
        counts = {one.identity_id: one.default_of for one in identities.summaries(connection)}
        rows = [_row(one) | {"default_of": counts[one.identity_id]} for one in identities.listed(connection)]
    return Answer(rows=rows, blocks=[Table(_COLUMNS, rows)])


def register(context: Context) -> Answer:
    """Register an identity; of one that is there already what was given is written."""
    from sessionlib.db.crud import identities
    from sessionlib.models import IdentityCreate, IdentityUpdate
    from sessionlib.models.identity import IdentityStatus

    options = context.options
    name = options.name.strip()
    if not 0 < len(name) <= _LONGEST:
        raise UsageError(
            f"the name of an identity has 1 to {_LONGEST} characters", hint="choose another name"
        )
    given = {
        field: getattr(options, field)
        for field in ("platform", "description")
        if getattr(options, field) is not None
    }
    with context.current_database() as database, database.write() as connection:
        before = identities.by_name(connection, name)
        if before is not None and before.status is IdentityStatus.ARCHIVED:
            raise UsageError(
                f"the identity {before.name!r} is archived",
                hint=f"restore it: sessionctl identity restore {before.name}",
            )
        made = identities.create(connection, IdentityCreate(name=name, **given))
        if any(getattr(made, field) != wanted for field, wanted in given.items()):
            made = identities.change(connection, made.identity_id, IdentityUpdate(**given))
    is_changed = made != before
    said = f"registered {made.name}" if before is None else f"changed {made.name}"
    if not is_changed:
        said = f"{made.name} is registered already"
    return Answer(rows=[_row(made) | {"changed": is_changed}], blocks=[Lines([said])])


def set_default(context: Context) -> Answer:
    """Set, or take away, a project's default."""
    from sessionlib.db.crud import identities, projects
    from sessionlib.models import ProjectUpdate
    from sessionlib.models.identity import IdentityStatus

    name = context.options.name
    if (name is None) != context.options.none:
        raise UsageError(
            "give an identity, or --none", hint=f"sessionctl identity default {context.options.project} NAME"
        )
    with context.current_database() as database, database.write() as connection:
        project = projects.find(connection, context.options.project)
        found = None if name is None else identities.find(connection, name)
        if found is not None and found.status is IdentityStatus.ARCHIVED:
            raise UsageError(
                f"the identity {found.name!r} is archived, so no conversation would run as it",
                hint=f"restore it first: sessionctl identity restore {found.name}",
            )
        wanted = None if found is None else found.identity_id
        is_changed = project.default_identity_id != wanted
        if is_changed:
            projects.change(connection, project.project_id, ProjectUpdate(default_identity_id=wanted))
    chosen = "no default identity" if found is None else f"the default identity {found.name}"
    said = f"{project.slug} has {chosen}{'' if is_changed else ' already'}"
    row = {
        "project": project.slug,
        "project_id": project.project_id,
        "identity": None if found is None else found.name,
        "identity_id": wanted,
        "changed": is_changed,
    }
    note = "conversations that are known keep theirs; the next one gets this, unless something names another"
    return Answer(rows=[row], blocks=[Lines([said])], notes=[note] if is_changed else [])


def archive(context: Context) -> Answer:
    """Let an identity be chosen no more."""
    from sessionlib.models.identity import IdentityStatus

    return _moved(context, IdentityStatus.ARCHIVED)


def restore(context: Context) -> Answer:
    """Let an identity be chosen again."""
    from sessionlib.models.identity import IdentityStatus

    return _moved(context, IdentityStatus.ACTIVE)


def _moved(context: Context, status: "IdentityStatus") -> Answer:
    from sessionlib.db.crud import identities
    from sessionlib.models import FALLBACK_IDENTITY_ID, IdentityUpdate
    from sessionlib.models.identity import IdentityStatus

    is_archived = status is IdentityStatus.ARCHIVED
    with context.current_database() as database, database.write() as connection:
        found = identities.find(connection, context.options.name)
        if is_archived and found.identity_id == FALLBACK_IDENTITY_ID:
            raise UsageError(
                f"{found.name} is the fallback: a conversation that nothing else is known of runs as it",
                hint="give projects a default of their own: sessionctl identity default PROJECT NAME",
            )
        is_changed = found.status is not status
        if is_changed:
            found = identities.change(connection, found.identity_id, IdentityUpdate(status=status))
        default_of = _default_of(connection, found)
    said = f"{found.name} is {status.value}{'' if is_changed else ' already'}"
    notes = []
    if is_archived and default_of:
        notes.append(
            f"it is still the default of {words(default_of, 'project')}: "
            "conversations there run as the fallback (sessionctl identity default PROJECT NAME)"
        )
    row = _row(found) | {"default_of": default_of, "changed": is_changed}
    return Answer(rows=[row], blocks=[Lines([said])], notes=notes)


def _default_of(connection: "Connection", identity: "Identity") -> int:
    from sessionlib.db.crud import identities

    found = identities.summaries(connection)
    return next(one.default_of for one in found if one.identity_id == identity.identity_id)


def which(context: Context) -> Answer:
    """Say whom a conversation would run as, and by which rule; registers nothing."""
    from sessionlib.db.crud import identities, projects
    from sessionlib.sync.ingest import belonging
    from sessionlib.sync.ingest.owners import look_up

    path = Path(context.options.path or ".").expanduser().absolute()
    if not os.path.isdir(path):  # noqa: PTH112 - not Path.is_dir: a name that is too long is no surprise
        raise UsageError(f"there is no folder {path}", hint="name the folder that the client is started in")
    with context.current_database() as database, database.read() as connection:
        place = look_up(connection, context.config.host_id(), path)
        project = None if place.project_id is None else projects.get(connection, place.project_id)
        default = None if project is None else project.default_identity_id
        named = belonging.names(place.path, default, os.environ.get(_VARIABLE))
        found = belonging.chosen(belonging.Identities(connection), named)
        identity = identities.get(connection, found.identity_id)
        passed_over = [(_name_of(connection, name), source) for name, source in found.passed_over]
    row = {
        "path": str(path),
        "project": None if project is None else project.slug,
        "workspace": str(place.path),
        "identity": identity.name,
        "identity_id": identity.identity_id,
        "source": found.source,
        "passed_over": [{"identity": name, "source": source} for name, source in passed_over],
    }
    notes = [
        f"{name!r}, which the {source} names, is not registered or archived (sessionctl identity list)"
        for name, source in passed_over
    ]
    if project is None:
        notes.append("no project is known there yet; the first conversation registers it")
    shown = [(name, row[name]) for name in ("identity", "source", "project", "workspace")]
    return Answer(rows=[row], blocks=[Facts(shown)], notes=notes)


def _name_of(connection: "Connection", name: str) -> str:
    """Return the name of an identity that is known by its id."""
    from sessionlib.db.crud import identities

    return next((one.name for one in identities.listed(connection) if str(one.identity_id) == name), name)


def _row(identity: "Identity") -> dict[str, Any]:
    return identity.model_dump(mode="json")
