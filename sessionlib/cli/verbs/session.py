"""`sessionctl session`: make and change one session, in its files; no database is involved."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessionlib.cli import sheets
from sessionlib.cli.answer import Answer, Document, Freshness, Lines
from sessionlib.cli.columns import progress
from sessionlib.cli.context import Context
from sessionlib.cli.options import whole
from sessionlib.errors import UsageError

if TYPE_CHECKING:
    from sessionlib.state.content import SessionContent
    from sessionlib.state.manager import StateManager
    from sessionlib.state.scan import FinderOptions

    Change = Callable[[StateManager], bool]
    Told = Callable[[SessionContent, SessionContent], str]

_WHICH = "folder, name or part of one; $SESSIOND_SESSION, or the folder we are in, when left out"
_STEPS = ("init", "start", "complete")


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = commands.add_parser(
        "session",
        parents=[common],
        allow_abbrev=False,
        help="make or change one session, in its files",
        description="Make or change one session. Only its files are touched; a daemon mirrors them.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    def action(name: str, run: Callable[[Context], Answer], told: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = actions.add_parser(
            name, parents=[common], allow_abbrev=False, help=told, description=told
        )
        if name != "new":
            made.add_argument("session", nargs="?", type=str, metavar="SESSION", help=_WHICH)
        made.set_defaults(run=run, parser=made)
        return made

    _add_new(action("new", create, "make a session folder and its first state.json"))
    action("show", show, "show a session as its files say it").add_argument(
        "--document", action="store_true", help="print state.json instead"
    )
    action("phase", phase, "go to another phase").add_argument("phase", metavar="PHASE")
    action("status", status, "set the status").add_argument(
        "status", metavar="STATUS", help="active, paused, complete or failed"
    )
    _add_steps(action("checkpoint", checkpoint, "say how many checkpoints there are, start or complete one"))
    committed = action("commit", commit, "record a commit")
    committed.add_argument("sha", metavar="SHA", help="7 to 64 hexadecimal digits")
    committed.add_argument("message", metavar="MESSAGE", help="its subject line")
    committed.add_argument("--checkpoint", type=whole(1), metavar="N", help="the checkpoint it belongs to")
    placed = action("git", git, "set git details; '' clears one")
    for name in ("branch", "worktree", "base-branch"):
        placed.add_argument(f"--{name}")
    decided = action("decide", decide, "record a decision")
    decided.add_argument("title", metavar="TITLE", help="what was decided")
    decided.add_argument("--rationale", metavar="WHY")
    decided.add_argument("--source", metavar="WHO", help="who or what decided it")


def _add_new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "place", nargs="?", type=str, metavar="PATH_OR_SLUG", help="made of date and topic when left out"
    )
    parser.add_argument("--topic", required=True, help="what it is about")
    parser.add_argument("--description", help="more about it")
    parser.add_argument("--type", default="full", help="full (the default), quick or research")
    parser.add_argument("--phase", help="the first phase")
    parser.add_argument("--prior", metavar="SLUG", help="the session it goes on from")


def _add_steps(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("step", choices=_STEPS, help="what to do")
    parser.add_argument("number", type=whole(0), metavar="N", help="how many there are, or which one")
    parser.add_argument("--reset", action="store_true", help="with init: forget what is completed")


def _finder(context: Context) -> "FinderOptions":
    from sessionlib.state.scan import FinderOptions

    watch = context.config.watch
    return FinderOptions(depth=watch.depth, sessions_dirs=watch.sessions_dirs)


def _manager(context: Context, *, read_only: bool = False) -> "StateManager":
    from sessionlib.cli import locating
    from sessionlib.state.manager import StateManager

    found = locating.session_named(context.options.session, Path.cwd(), _finder(context))
    return StateManager(found, read_only=read_only)


def create(context: Context) -> Answer:
    """Make a session."""
    from sessionlib.cli import locating
    from sessionlib.models.base import utc_now
    from sessionlib.state.manager import StateManager

    options = context.options
    today = utc_now().astimezone().date()
    path = locating.new_session(options.place, options.topic, today, Path.cwd(), _finder(context))
    manager = StateManager(path)
    content = manager.create(
        options.topic,
        description=options.description,
        session_type=options.type,
        phase=options.phase,
        prior_session=options.prior,
    )
    said = f"made {path} ({content.session_type}, phase {content.current_phase})"
    return _answer(manager, said, changed=True)


def _changed(context: Context, change: "Change", told: "Told") -> Answer:
    """Do one change and tell it in one line."""
    manager = _manager(context)
    before = manager.load()
    changed = change(manager)
    words = told(before, manager.content)
    slug = manager.session_dir.name
    said = f"{slug}: {words}" if changed else f"{slug}: unchanged, {words}"
    return _answer(manager, said, changed=changed)


def phase(context: Context) -> Answer:
    """Go to another phase."""
    wanted = context.options.phase

    def told(before: "SessionContent", after: "SessionContent") -> str:
        if before.current_phase == after.current_phase:
            return f"phase {after.current_phase}"
        return f"phase {before.current_phase or 'none'} -> {after.current_phase}"

    return _changed(context, lambda manager: manager.transition_to_phase(wanted), told)


def status(context: Context) -> Answer:
    """Set the status."""
    wanted = context.options.status

    def told(before: "SessionContent", after: "SessionContent") -> str:
        if before.status == after.status:
            return f"status {after.status}"
        return f"status {before.status or 'none'} -> {after.status}"

    return _changed(context, lambda manager: manager.set_status(wanted), told)


def checkpoint(context: Context) -> Answer:
    """Say how many checkpoints there are, start one, or complete one."""
    step, number, reset = context.options.step, context.options.number, context.options.reset
    if reset and step != "init":
        raise UsageError("--reset goes with init only")

    def change(manager: "StateManager") -> bool:
        if step == "init":
            return manager.init_build_progress(number, reset=reset)
        if step == "start":
            return manager.start_checkpoint(number)
        return manager.complete_checkpoint(number)

    def told(_: "SessionContent", after: "SessionContent") -> str:
        what = {
            "init": f"{number} checkpoints",
            "start": f"checkpoint {number} started",
            "complete": f"checkpoint {number} completed",
        }[step]
        done = progress(len(after.checkpoints_completed_ids), after.checkpoints_total)
        following = f"current {after.current_checkpoint}" if after.current_checkpoint else "none is left"
        return f"{what} ({done} done, {following})"

    return _changed(context, change, told)


def commit(context: Context) -> Answer:
    """Record a commit."""
    options = context.options
    if not options.message.strip():
        raise UsageError("the commit's message must not be empty", hint="give its subject line")
    place = f" in checkpoint {options.checkpoint}" if options.checkpoint else ""

    return _changed(
        context,
        lambda manager: manager.add_commit(options.sha, options.message, options.checkpoint),
        lambda _before, after: f"commit {options.sha}{place} ({len(after.commits)} in all)",
    )


def git(context: Context) -> Answer:
    """Set or clear git details."""
    options = context.options
    given = {
        name: getattr(options, name)
        for name in ("branch", "worktree", "base_branch")
        if getattr(options, name) is not None
    }
    if not given:
        raise UsageError("no git detail is named", hint="give --branch, --worktree or --base-branch")
    words = ", ".join(f"{name} {value or 'cleared'}" for name, value in given.items())
    return _changed(context, lambda manager: manager.set_git(**given), lambda _before, _after: words)


def decide(context: Context) -> Answer:
    """Record a decision."""
    options = context.options
    return _changed(
        context,
        lambda manager: manager.add_decision(options.title, options.rationale, options.source),
        lambda _before, after: f"decision {options.title!r} ({len(after.decisions)} in all)",
    )


def show(context: Context) -> Answer:
    """Show a session as its files say it."""
    manager = _manager(context, read_only=True)
    content = manager.load()
    if context.options.document:
        return Answer(rows=[manager.document], blocks=[Document(manager.document)], freshness=_from_files())
    return Answer(
        rows=[_row(manager)], blocks=sheets.of_file(manager.session_dir, content), freshness=_from_files()
    )


def _from_files() -> Freshness:
    from sessionlib.models.base import utc_now

    return Freshness.of_files(utc_now())


def _row(manager: "StateManager") -> dict[str, Any]:
    from dataclasses import asdict

    path = manager.session_dir
    content = asdict(manager.content)
    del content["stamps"]  # what the mirror ranks copies by, and nothing a reader asks for
    return {"session_dir": str(path), "slug": path.name, **content}


def _answer(manager: "StateManager", said: str, *, changed: bool) -> Answer:
    row = {"changed": changed, **_row(manager)}
    return Answer(rows=[row], blocks=[Lines([said])], freshness=_from_files())
