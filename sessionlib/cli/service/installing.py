"""Putting a definition in place, and taking it away: what is written and run."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sessionlib.cli.service import files, neighbours
from sessionlib.cli.service.launch import Launch, plan
from sessionlib.cli.service.manager import Manager, ServiceState
from sessionlib.cli.service.places import state_dir_of
from sessionlib.cli.service.runner import ServiceError
from sessionlib.errors import UsageError

if TYPE_CHECKING:
    from sessionlib.cli.context import Context


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done, or in a dry run would be.

    Attributes:
        path: The definition's file.
        said: One sentence.
        changed: Whether anything was.
        text: The new definition; None where none was written.
        shown: The definition, or how it differs from what was there.
        commands: What was run.
        notes: What a person should know.
    """

    path: Path
    said: str
    changed: bool
    text: str | None = None
    shown: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def row(self, manager: Manager) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "service": str(self.path),
            "manager": manager.name,
            "changed": self.changed,
            "dry_run": manager.runner.dry_run,
            "definition": self.text,
            "commands": self.commands,
        }


def install(context: "Context", manager: Manager) -> Outcome:
    """Write the definition and let the service manager adopt it; nothing is started.

    Raises:
        ServiceError: The manager does not run or refuses, or something else of the same name is in the way.
        UsageError: There is nothing to watch, or an option does not fit.
        ConfigError: The configuration cannot be used.
    """
    runner = manager.runner
    _check_user(context, manager)
    launch = plan(context, system=manager.system)
    text = manager.definition(launch)
    if not runner.dry_run:
        manager.require()
    insisted = bool(context.options.yes)
    _check_file(manager, insisted=insisted)
    _check_others(manager, insisted=insisted)
    before = None if files.is_foreign(manager.path) else files.read(manager.path)
    state = None if runner.dry_run else manager.state()
    same = before == text
    if not same and not runner.dry_run:
        files.write(manager.path, text)
    if not (same and state and state.known and state.enabled and not state.outdated):
        manager.adopt()
    changed = not same or bool(runner.commands)
    return Outcome(
        path=manager.path,
        said=_said(manager, before, changed=changed, same=same),
        changed=changed,
        text=text,
        shown=_shown(manager, before, text),
        commands=runner.commands,
        notes=_notes(context, manager, launch, state, same=same),
    )


def uninstall(context: "Context", manager: Manager) -> Outcome:
    """Stop the service, let it start no more and remove its definition, if it is ours. Data stays.

    Raises:
        ServiceError: The manager does not run or refuses, or the definition is somebody else's.
    """
    runner = manager.runner
    if not os.path.lexists(manager.path):
        others = [f"another definition is at {path}" for path in neighbours.other_definitions(manager.path)]
        return Outcome(
            manager.path, f"not installed: there is no {manager.path}", changed=False, notes=others
        )
    if files.is_foreign(manager.path):
        files.remove(manager.path)
    if not runner.dry_run:
        manager.require()
    state_dir = state_dir_of(context, manager, None if runner.dry_run else manager.state())
    manager.drop()
    if not runner.dry_run:
        files.remove(manager.path)
    manager.forget()
    return Outcome(
        path=manager.path,
        said=f"{'would remove' if runner.dry_run else 'removed'} {manager.path}",
        changed=True,
        commands=runner.commands,
        notes=list(_left(manager.path, state_dir)),
    )


def _left(path: Path, state_dir: Path) -> list[str]:
    notes = [f"the data stays in {state_dir}"]
    drop_in = path.with_name(f"{path.name}.d")
    if drop_in.exists():
        notes.append(f"your drop-ins stay in {drop_in}")
    return notes


def _check_user(context: "Context", manager: Manager) -> None:
    if not manager.system and os.geteuid() == 0 and not context.options.allow_root:
        raise UsageError(
            "sessiond does not run as root",
            hint="install it as the user whose projects it watches, or with --system as a user of its own; "
            "in a container where you are root, add --allow-root",
        )


def _check_file(manager: Manager, *, insisted: bool) -> None:
    if files.is_foreign(manager.path) and not insisted:
        raise ServiceError(
            f"{manager.path} is there, and was not written by `sessionctl service install`",
            hint="look at it; --yes replaces it, and a drop-in beside it changes it",
        )


def _check_others(manager: Manager, *, insisted: bool) -> None:
    others = neighbours.other_definitions(manager.path)
    if others and not insisted:
        raise ServiceError(
            f"the service is defined already: {', '.join(map(str, others))}",
            hint="two would mirror the same files twice; remove that one, or insist with --yes",
        )


def _said(manager: Manager, before: str | None, *, changed: bool, same: bool) -> str:
    if not changed:
        return f"already installed, unchanged: {manager.path}"
    if same:
        return f"{manager.path} is unchanged; {manager.name} has read it anew"
    if manager.runner.dry_run:
        return f"would {'write' if before is None else 'change'} {manager.path}"
    return f"{'wrote' if before is None else 'changed'} {manager.path}"


def _shown(manager: Manager, before: str | None, text: str) -> list[str]:
    if before is not None:
        return files.difference(manager.path, before, text)
    lines = text.splitlines()
    if manager.runner.dry_run:
        return lines
    return [line for line in lines if line and not line.startswith("#")]


def _notes(
    context: "Context", manager: Manager, launch: Launch, state: ServiceState | None, *, same: bool
) -> list[str]:
    # Not Path's question: it raises for a name that is too long.
    absent = (root for root in launch.roots if not os.path.exists(root))  # noqa: PTH110
    notes = [f"{root} is not there yet" for root in absent]
    state_dir = state_dir_of(context, manager, None, launch.environment)
    flag = " --system" if manager.system else ""
    holder = neighbours.holder(state_dir)
    if state is not None and state.running:
        if not same:
            notes.append(f"it runs with the old definition until: sessionctl service restart{flag}")
    elif holder is not None:
        notes.append(
            f"another sessiond (process {holder}) holds {state_dir}; before this one can start: sessiond stop"
        )
    else:
        notes.append(f"start it: sessionctl service start{flag}")
    return [*notes, *manager.advice()]
