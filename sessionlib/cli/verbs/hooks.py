"""`sessionctl hooks`: let a coding client tell what its agents do."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessionlib.arguments import a_path
from sessionlib.cli.answer import Answer, Column, Lines, Table
from sessionlib.cli.context import Context
from sessionlib.errors import UsageError

if TYPE_CHECKING:
    from sessionlib.journal.claude_code.events import Version

_DESCRIPTION = """\
Let Claude Code tell what its agents do: its hooks copy what they are told into a spool below the state
folder, within bounds, and the daemon reads it. What else stands in its settings stays as it is.
"""


_EVENTS = (
    Column("event", lambda row: row["event"]),
    Column("state", lambda row: row["state"], style=lambda shown: "" if shown == _REGISTERED else "yellow"),
)
_REGISTERED = "registered"


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = commands.add_parser(
        "hooks",
        parents=[common],
        allow_abbrev=False,
        help="let a coding client tell what its agents do",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, told in (
        ("install", install, "register the recorder in the client's settings"),
        ("uninstall", uninstall, "take it out of the settings; what was recorded stays"),
        ("status", status, "say where it is registered: exit 0 if it is and up to date, else 1"),
    ):
        made = actions.add_parser(name, parents=[common], allow_abbrev=False, help=told, description=told)
        where = made.add_mutually_exclusive_group()
        where.add_argument("--user", action="store_true", help="for all projects of this user (the default)")
        where.add_argument(
            "--project",
            nargs="?",
            const=".",
            type=a_path,
            metavar="DIR",
            help="for one project, this one without DIR; on this machine alone (settings.local.json)",
        )
        made.add_argument(
            "--client-version",
            metavar="VERSION",
            help="the client's, instead of asking it: events that it does not know are left out",
        )
        if name != "status":
            made.add_argument("--dry-run", action="store_true", help="show what would be done")
        made.set_defaults(run=run, parser=made, dry_run=False)


def install(context: Context) -> Answer:
    """Register the recorder for every event that the client knows."""
    from sessionlib.cli import hooking
    from sessionlib.journal.claude_code import settings
    from sessionlib.journal.claude_code.events import known_to

    path, version = _path(context), _version(context)
    events = known_to(version)
    command = hooking.command(_spool(context))
    changed = hooking.change(
        path,
        lambda old: settings.installed(old, events, command, version),
        within=_top(context, path),
        dry_run=context.options.dry_run,
    )
    done = "would register" if context.options.dry_run else "registered"
    said = f"{done} {len(events)} events in {path}" if changed else f"already registered in {path}"
    notes = _notes(version)
    if changed and not context.options.dry_run:
        notes.insert(
            0, "sessions of the client that run already take it up within a second or at their next start"
        )
    return Answer(
        rows=[_row(path, version) | {"changed": changed, "events": [event.name for event in events]}],
        blocks=[Lines([said])],
        notes=notes,
    )


def uninstall(context: Context) -> Answer:
    """Take the recorder out."""
    from sessionlib.cli import hooking
    from sessionlib.journal.claude_code import settings

    path = _path(context)
    changed = hooking.change(
        path, settings.uninstalled, within=_top(context, path), dry_run=context.options.dry_run
    )
    done = "would take the recorder out of" if context.options.dry_run else "took the recorder out of"
    said = f"{done} {path}" if changed else f"nothing of ours in {path}"
    return Answer(rows=[{"path": str(path), "changed": changed}], blocks=[Lines([said])])


def status(context: Context) -> Answer:
    """Say what is registered, and what is missing."""
    from sessionlib.cli import hooking
    from sessionlib.journal.claude_code import settings
    from sessionlib.journal.claude_code.events import known_to

    path, version = _path(context), _version(context)
    stored = hooking.read(path)
    command = hooking.command(_spool(context))
    try:
        found = list(settings.found(stored))
    except settings.BadSettingsError as error:
        raise hooking.SettingsFileError(f"{path}: {error}", hint="mend the file") from error
    wanted = {event.name: settings.handler_of(event, command, version) for event in known_to(version)}
    rows = [
        {"event": name, "state": _state([one.handler for one in found if one.event == name], handler)}
        for name, handler in wanted.items()
    ]
    rows += [
        {"event": one.event, "state": "not known to the client"} for one in found if one.event not in wanted
    ]
    silenced = settings.silenced_by(stored)
    notes = _notes(version)
    if silenced is not None:
        notes.append(f"{silenced} is set in {path}: no hook runs")
    is_whole = silenced is None and all(row["state"] == _REGISTERED for row in rows)
    if not is_whole and silenced is None:
        notes.append("run: sessionctl hooks install")
    return Answer(
        rows=[_row(path, version) | row for row in rows],
        blocks=[Table(_EVENTS, rows, title=str(path))],
        notes=notes,
        exit_code=0 if is_whole else 1,
    )


def _state(handlers: list[dict[str, Any]], wanted: dict[str, Any]) -> str:
    if not handlers:
        return "missing"
    if len(handlers) > 1:
        return "registered twice"
    return _REGISTERED if handlers[0] == wanted else "registered by another installation"


def _path(context: Context) -> Path:
    from sessionlib.journal.claude_code import places

    folder = context.options.project
    if folder is not None:
        # Not Path.is_dir, which takes a name that is too long for a surprise.
        if not os.path.isdir(folder):  # noqa: PTH112
            raise UsageError(f"there is no folder {folder}", hint="name the project's folder")
        return places.project_settings(Path(folder))
    try:
        return places.user_settings(os.environ)
    except RuntimeError as error:
        raise UsageError(str(error), hint="set HOME, or name a project with --project") from error


def _top(context: Context, path: Path) -> Path | None:
    """Return the project whose settings these are; None for the user's own."""
    return None if context.options.project is None else path.parents[1]


def _version(context: Context) -> "Version | None":
    from sessionlib.cli import hooking
    from sessionlib.journal.claude_code.events import parse_version

    named = context.options.client_version
    if named is None:
        return hooking.client_version()
    version = parse_version(named)
    if version is None:
        raise UsageError(f"{named!r} is no version", hint="give it as 2.1.330")
    return version


def _spool(context: Context) -> Path:
    return context.config.locations.spool


def _row(path: Path, version: "Version | None") -> dict[str, Any]:
    return {"path": str(path), "client_version": None if version is None else ".".join(map(str, version))}


def _notes(version: "Version | None") -> list[str]:
    if version is not None:
        return []
    return ["no client was found that tells its version; only events that every one knows are registered"]
