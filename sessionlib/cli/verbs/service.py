"""`sessionctl service`: install, uninstall, start, stop and look at the daemon as a service."""

import argparse
from typing import TYPE_CHECKING, Any

from sessionlib.arguments import a_path
from sessionlib.cli.answer import Answer, Block, Facts, Lines
from sessionlib.cli.context import Context
from sessionlib.cli.options import whole

if TYPE_CHECKING:
    from sessionlib.cli.service.installing import Outcome
    from sessionlib.cli.service.manager import Manager
    from sessionlib.cli.service.running import Report

_DESCRIPTION = """\
Run sessiond as a service: of this user, by systemd or launchd, or of the machine with --system (systemd).
Exit codes: 0 ok, 1 the service manager refuses or is not there, 2 usage, 3 not running (status), 75 another
sessiond runs, 78 a bad configuration.
"""
_LOGS_MOST = 1_000_000


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the parser."""
    parser = commands.add_parser(
        "service",
        parents=[common],
        allow_abbrev=False,
        help="install, start and look at the daemon as a service",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    def action(name: str, run: Any, told: str, *, changes: bool = True) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = actions.add_parser(
            name, parents=[common], allow_abbrev=False, help=told, description=told
        )
        made.add_argument("--system", action="store_true", help="the machine's service, not this user's")
        if changes:
            made.add_argument("--dry-run", action="store_true", help="show what would be done")
        made.set_defaults(run=run, parser=made, dry_run=False)
        return made

    installing = action("install", install, "write the definition and let the service start at boot or login")
    installing.add_argument(
        "--root",
        action="append",
        default=[],
        type=a_path,
        metavar="ROOT",
        help="a folder to look under for projects, again for more; they replace watch.roots",
    )
    installing.add_argument("--allow-root", action="store_true", help="let it run as root")
    installing.add_argument(
        "--yes", action="store_true", help="replace a definition of others, or install beside one"
    )
    action("uninstall", uninstall, "stop the service and remove its definition; data stays")
    action("start", start, "start the service")
    action("stop", stop, "stop the service, until the next boot or login")
    action("restart", restart, "stop the service if it runs, and start it")
    action("status", status, "say how the service is: exit 0 fresh, 1 stale, 3 not running", changes=False)
    logging = action("logs", logs, "show what the daemon has logged", changes=False)
    logging.add_argument(
        "-n", "--lines", type=whole(1, _LOGS_MOST), default=100, metavar="N", help="the last N lines (100)"
    )
    logging.add_argument("-f", "--follow", action="store_true", help="go on as more is logged")


def _manager(context: Context) -> "Manager":
    from sessionlib.cli.service import managers

    return managers.choose(system=context.options.system, dry_run=context.options.dry_run)


def install(context: Context) -> Answer:
    """Write the definition and let the manager adopt it."""
    from sessionlib.cli.service import installing

    manager = _manager(context)
    return _told(manager, installing.install(context, manager))


def uninstall(context: Context) -> Answer:
    """Stop the service and remove its definition."""
    from sessionlib.cli.service import installing

    manager = _manager(context)
    return _told(manager, installing.uninstall(context, manager))


def _told(manager: "Manager", outcome: "Outcome") -> Answer:
    blocks: list[Block] = [Lines([outcome.said])]
    if outcome.shown:
        blocks.append(Lines(outcome.shown))
    blocks.append(_commands(manager))
    return Answer(rows=[outcome.row(manager)], blocks=blocks, notes=outcome.notes)


def _commands(manager: "Manager") -> Lines:
    would = "would run" if manager.runner.dry_run else "ran"
    return Lines([f"{would}: {command}" for command in manager.runner.commands])


def start(context: Context) -> Answer:
    """Start the service."""
    return _start(context, again=False)


def restart(context: Context) -> Answer:
    """Start the service again."""
    return _start(context, again=True)


def _start(context: Context, *, again: bool) -> Answer:
    from sessionlib.cli.service import running

    manager = _manager(context)
    return _done(manager, running.start(context, manager, again=again))


def stop(context: Context) -> Answer:
    """Stop the service."""
    from sessionlib.cli.service import running

    manager = _manager(context)
    return _done(manager, *running.stop(context, manager))


def _done(manager: "Manager", said: str, notes: list[str] | None = None) -> Answer:
    row = {
        "service": str(manager.path),
        "manager": manager.name,
        "said": said,
        "commands": manager.runner.commands,
        "dry_run": manager.runner.dry_run,
    }
    return Answer(rows=[row], blocks=[Lines([said]), _commands(manager)], notes=notes or [])


def status(context: Context) -> Answer:
    """Say how the service is, from both sides."""
    from sessionlib.cli.service import running

    manager = _manager(context)
    found = running.report(context, manager)
    return Answer(
        rows=[found.row(manager)],
        blocks=[Facts(_facts(manager, found))],
        notes=_remarks(context, found),
        exit_code=found.exit_code,
    )


def _facts(manager: "Manager", found: "Report") -> list[tuple[str, object]]:
    from sessionlib.cli.service.running import exit_reason
    from sessionlib.cli.text import duration

    service, daemon = found.service, found.daemon
    facts: list[tuple[str, object]] = [("manager", manager.name)]
    if service is not None and service.known:
        facts += [
            ("definition", service.definition or manager.path),
            ("state", service.state),
            ("starts by itself", service.enabled),
            ("process", service.pid),
            ("restarts", service.restarts),
            ("failed", service.result),
            ("ended with", exit_reason(service.exit_code) if service.exit_code else None),
            ("says", service.says),
        ]
    elif service is not None:
        facts.append(("state", "not installed"))
    if daemon is not None:
        facts.append(("mirror", "; ".join(daemon.reasons) or "fresh"))
        if daemon.age_s is not None:
            facts.append(("as of", f"{duration(daemon.age_s)} before it was asked"))
    else:
        facts.append(("mirror", found.trouble))
    return [pair for pair in facts if pair[1] is not None]


def _remarks(context: Context, found: "Report") -> list[str]:
    flag = " --system" if context.options.system else ""
    service, daemon = found.service, found.daemon
    notes = []
    if service is None:
        notes += [] if daemon else ["start the daemon without a service manager: sessiond run --detach"]
    elif not service.known:
        notes.append(f"install it: sessionctl service install{flag}")
    elif not service.running and daemon is None:
        notes.append(f"start it: sessionctl service start{flag}")
    if service is not None and service.outdated:
        notes.append("the definition was changed since it was read: systemctl daemon-reload, then restart")
    if daemon is not None and not found.managed:
        notes.append(f"process {daemon.pid} answers, and is not the service's")
    return notes


def logs(context: Context) -> Answer:
    """Show what the daemon has logged."""
    from sessionlib.cli.service import logfile

    manager = _manager(context)
    options = context.options
    # The log goes to our standard output as it stands.
    return Answer(stream=(), exit_code=logfile.show(context, manager, options.lines, follow=options.follow))
