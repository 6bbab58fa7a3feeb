"""Whether two definitions of the service fight for one state folder."""

from collections.abc import Iterator
from pathlib import Path

from sessionlib.cli.checks.finding import BAD, INFO, OK, WARN, Finding
from sessionlib.cli.checks.patient import Patient
from sessionlib.cli.service import neighbours

_OURS, _MACHINE = "of this user", "of the machine"


def look(patient: Patient) -> Iterator[Finding]:
    """Look at every place of a definition; whether a manager runs is not asked."""
    del patient
    found: dict[str, list[Path]] = {_OURS: [], _MACHINE: []}
    for path in neighbours.other_definitions(Path()):
        found[_MACHINE if _is_machines(path) else _OURS].append(path)
    examples = tuple(f"{whose}: {path}" for whose, paths in found.items() for path in paths)
    if not examples:
        says = "no service is defined: the daemon starts by hand alone"
        yield Finding("definitions", INFO, says, "sessionctl service install")
    elif all(found.values()):
        started = [whose for whose, paths in found.items() if any(map(_is_enabled, paths))]
        # Both use a state folder of their own by default, and watch the same projects all the same.
        both = len(started) == len(found)
        says = "a service of this user and one of the machine are defined" + (
            ", and both start" if both else ""
        )
        step = "keep one: sessionctl service uninstall, or sudo sessionctl service uninstall --system"
        yield Finding("definitions", BAD if both else WARN, says, step, len(examples), examples)
    else:
        yield Finding("definitions", OK, "one service is defined", number=len(examples), examples=examples)


def _is_machines(path: Path) -> bool:
    """Return whether the machine starts it, and not a user's login."""
    return path.parent == neighbours.SHARED_AGENTS[1] or path.parts[-2:-1] == ("system",)


def _is_enabled(path: Path) -> bool:
    """Return whether a systemd unit starts by itself; a launch agent always does."""
    if path.suffix != ".service":
        return True
    roots = [path.parent]
    if _is_machines(path):
        roots.append(neighbours.SYSTEM_UNITS)
    else:
        roots += [neighbours.user_units(), Path("/etc/systemd/user")]
    return any(next(root.glob(f"*.wants/{path.name}"), None) is not None for root in roots)
