"""`sessionctl projects`: list, show, add, remove, alias and merge projects."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessionlib.arguments import a_path, filled
from sessionlib.cli import columns
from sessionlib.cli.answer import Answer, Block, Column, Facts, Freshness, Lines, Table
from sessionlib.cli.context import Context
from sessionlib.cli.options import reading_options
from sessionlib.cli.text import visible, words
from sessionlib.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sessionlib.models import Project

_KINDS = ("name:", "path:", "git:", "remote:")
_FORGOTTEN = "its files are untouched; a running daemon that watches its folder will register it again"

_ALIASES = (
    Column("alias", lambda row: row["alias"]),
    Column("since", lambda row: row["created_at"]),
)
_WORKSPACES = (
    Column("workspace", lambda row: row["path"], style="bold"),
    Column("by hand", lambda row: row["registered"]),
    Column("roots", lambda row: ", ".join(root["root"] for root in row["roots"])),
    Column("missing since", lambda row: row["missing_since"], style="red"),
)


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = commands.add_parser(
        "projects",
        parents=[common, reading_options()],
        allow_abbrev=False,
        help="list and mend the registered projects",
    )
    parser.set_defaults(run=list_all)
    reading = reading_options()
    actions = parser.add_subparsers(title="actions", metavar="ACTION")

    def action(name: str, run: Any, told: str, *arguments: tuple[str, str]) -> argparse.ArgumentParser:
        parents = [common, reading] if run in {list_all, show} else [common]
        made: argparse.ArgumentParser = actions.add_parser(
            name, parents=parents, allow_abbrev=False, help=told, description=told
        )
        for argument, meaning in arguments:
            kind = a_path if argument == "PATH" else filled
            made.add_argument(argument.lower(), type=kind, metavar=argument, help=meaning)
        made.set_defaults(run=run)
        return made

    name = "name, alias or id of a project"
    action("list", list_all, "list the projects, with what their sessions add up to")
    action("show", show, "show a project's aliases, workspaces and sessions roots", ("NAME", name))
    action("add", register, "register the project at a folder", ("PATH", "its folder"))
    removing = action(
        "remove", remove, "forget a project and its mirrored sessions; no file is touched", ("NAME", name)
    )
    removing.add_argument("--yes", action="store_true", help="do not ask")
    action(
        "alias", alias, "let a project be known by another name too", ("NAME", name), ("ALIAS", "the other")
    )
    action(
        "merge",
        merge,
        "make a project a part of another, and forget it as one of its own",
        ("SOURCE", "the one that goes"),
        ("INTO", "the one that stays"),
    )


def list_all(context: Context) -> Answer:
    """List all projects."""
    told = context.told("/projects", {})
    if told is not None:
        return _listed(told.rows, told.views(), told.freshness)
    from sessionlib.db import queries

    with context.reading() as connection:
        rows = queries.projects(connection)
        freshness = context.freshness(connection)
    return _listed(rows, rows, freshness)


def _listed(rows: Sequence[Any], shown: Sequence[Any], freshness: Freshness) -> Answer:
    table = Table(columns.PROJECTS, shown, empty="no projects")
    return Answer(rows=rows, blocks=[table], freshness=freshness)


def show(context: Context) -> Answer:
    """Show one project."""
    from sessionlib.db.crud import projects

    with context.reading() as connection:
        project = projects.find(connection, context.options.name)
        row = _whole(connection, project)
        freshness = context.freshness(connection)
    facts: list[tuple[str, object]] = [
        ("project", project.slug),
        ("name", project.name),
        ("status", project.status),
        ("phase", project.phase),
        ("description", project.description),
        ("id", project.project_id),
        ("minted from", project.minted_from),
        ("registered", project.created_at),
    ]
    blocks: list[Block] = [
        Facts([pair for pair in facts if pair[1] is not None]),
        Table(_ALIASES, row["aliases"], title=words(len(row["aliases"]), "alias", "aliases")),
        Table(_WORKSPACES, row["workspaces"], title=words(len(row["workspaces"]), "workspace")),
    ]
    return Answer(rows=[row], blocks=blocks, freshness=freshness)


def _whole(connection: "Connection", project: "Project") -> dict[str, Any]:
    from sessionlib.db.crud import projects, workspaces

    return project.model_dump(mode="json") | {
        "aliases": [
            {"alias": alias.alias, "created_at": alias.created_at}
            for alias in projects.aliases_of(connection, project.project_id)
        ],
        "workspaces": [
            workspace.model_dump()
            | {
                "roots": [
                    {"root": root.root, "missing_since": root.missing_since}
                    for root in workspaces.roots_of(connection, workspace.workspace_id).values()
                ]
            }
            for workspace in workspaces.of_project(connection, project.project_id)
        ],
    }


def register(context: Context) -> Answer:
    """Register a folder as a workspace, with the sessions roots in it; a daemon watches it at once."""
    from sessionlib.db.crud import projects, workspaces
    from sessionlib.runtime import Runtime
    from sessionlib.state.scan import sessions_roots_of
    from sessionlib.sync import candidates
    from sessionlib.sync.places import real_name

    path: Path = context.options.path.expanduser().absolute()
    with Runtime.open(context.config) as runtime:
        candidates.check(path, runtime.finder)
        with runtime.database.read() as connection:
            here = workspaces.of_host(connection, context.config.host_id())
        daemon = context.daemon()
        if daemon is not None:
            daemon.add_project(path)
        workspace = runtime.registrar.register_project(path)
        folder = Path(real_name(workspace.path))
        places = [runtime.registrar.place_of(root.path) for root in sessions_roots_of(folder, runtime.finder)]
        with runtime.database.read() as connection:
            project = projects.get(connection, workspace.project_id)
    roots = [place.root for place in places]
    known = any(one.registered and one.workspace_id == workspace.workspace_id for one in here)
    what = f"{folder} is registered already" if known else f"registered {folder}"
    said = f"{what} as project {project.slug}, with {words(len(roots), 'sessions folder')}"
    note = "the daemon watches it from now on, and mirrors its sessions"
    if daemon is None:
        note = f"no daemon runs; `sessionctl sync {folder}` mirrors its sessions now"
    row = project.model_dump(mode="json") | {"path": workspace.path, "roots": roots}
    return Answer(rows=[row], blocks=[Lines([said])], notes=[note])


def remove(context: Context) -> Answer:
    """Forget a project, after asking."""
    from sessionlib.db.crud import projects

    with context.current_database() as database:
        with database.read() as connection:
            project = projects.find(connection, context.options.name)
            counted = _sessions_of(connection, project)
        if not context.options.yes and not _agreed(project.slug, counted):
            return Answer(blocks=[Lines(["nothing was changed"])], exit_code=1)
        with database.write() as connection:
            projects.remove(connection, project.project_id)
    said = f"removed {project.slug} and {words(counted, 'mirrored session')}"
    row = {"project": project.slug, "project_id": project.project_id, "removed_sessions": counted}
    return Answer(rows=[row], blocks=[Lines([said])], notes=[_FORGOTTEN])


def _sessions_of(connection: "Connection", project: "Project") -> int:
    from sessionlib.db import queries

    return queries.count_sessions(connection, queries.SessionFilter(project=project.slug, missing=True))


def _agreed(slug: str, counted: int) -> bool:
    """Ask on the terminal.

    Raises:
        UsageError: There is nobody to ask.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"removing {slug} needs a yes", hint="add --yes")
    question = f"Forget project {slug} and {words(counted, 'mirrored session')}? ({_FORGOTTEN}) [y/N] "
    print(visible(question), end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def alias(context: Context) -> Answer:
    """Give a project another name."""
    from sessionlib.db.crud import projects

    wanted = _alias_key(context.options.alias)
    with context.current_database() as database, database.write() as connection:
        project = projects.find(connection, context.options.name)
        others = [other.slug for other in projects.listed(connection) if other.slug != project.slug]
        bare = wanted.removeprefix("name:")
        if wanted != bare and bare in {slug.lower() for slug in others}:
            raise UsageError(
                f"{bare!r} is the name of another project",
                hint=f"merge the two instead: sessionctl projects merge {bare} {project.slug}",
            )
        known = projects.by_alias(connection, [wanted]) is not None
        projects.claim_alias(connection, project.project_id, wanted)
    said = f"{project.slug} is known as {bare} {'already' if known else 'too'}"
    row = {"project": project.slug, "project_id": project.project_id, "alias": wanted, "changed": not known}
    return Answer(rows=[row], blocks=[Lines([said])])


def _alias_key(text: str) -> str:
    """Return the key an alias is kept under: a name in any case, unless another kind is named.

    Raises:
        UsageError: It is empty.
    """
    text = text.strip()
    kind = next((kind for kind in _KINDS if text.startswith(kind)), "name:")
    bare = text.removeprefix(kind)
    if not bare:
        raise UsageError("an alias must not be empty")
    return f"{kind}{bare.lower() if kind == 'name:' else bare}"


def merge(context: Context) -> Answer:
    """Make one project a part of another."""
    from sessionlib.db.crud import projects
    from sessionlib.sync.merging import merge_projects
    from sessionlib.sync.mirror import Mirror

    with context.current_database() as database:
        with database.read() as connection:
            source = projects.find(connection, context.options.source)
            target = projects.find(connection, context.options.into)
        merged = merge_projects(database, Mirror(database), source, target)
    said = (
        f"merged {source.slug} into {target.slug}: {words(merged.workspaces, 'workspace')}, "
        f"{words(merged.sessions, 'session')} ({merged.shared} in both), {words(merged.aliases, 'key')}"
    )
    row = {"source": source.slug, "into": target.slug, "project_id": target.project_id, **merged._asdict()}
    return Answer(rows=[row], blocks=[Lines([said])])
