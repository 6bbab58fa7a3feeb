"""Whether the hooks are registered in the client's settings, and as this installation would do it."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sessionlib.cli import hooking
from sessionlib.cli.checks.finding import BAD, INFO, OK, WARN, Finding
from sessionlib.cli.checks.patient import Patient
from sessionlib.cli.text import words
from sessionlib.journal.claude_code import places, settings
from sessionlib.journal.claude_code.events import TOLERANT, known_to
from sessionlib.journal.claude_code.settings import Found

USER, PROJECT, SHARED = "user", "project", "shared"
_UNREAD = "hooks.json"
"""A file of this name beside the settings looks right, and no client reads it."""
_INSTALL = "sessionctl hooks install"


class Source(NamedTuple):
    """A settings file, and our handlers in it."""

    kind: str
    path: Path
    handlers: tuple[Found, ...]

    @property
    def install(self) -> str:
        """The command that registers the hooks there."""
        return _INSTALL if self.kind == USER else f"{_INSTALL} --project {self.path.parent.parent}"


def sources(patient: Patient) -> Iterator[Source | Finding]:
    """Yield the settings files that count in the folder; a finding instead of one that cannot be read."""
    local = places.project_settings(patient.folder)
    candidates = [(PROJECT, local), (SHARED, places.shared_settings(local))]
    try:
        candidates.insert(0, (USER, places.user_settings(os.environ)))
    except RuntimeError as error:
        yield Finding("hook-settings", WARN, str(error), "set HOME")
    seen = set()
    for kind, path in candidates:
        if path in seen:
            continue  # in the home folder a project's are the user's
        seen.add(path)
        try:
            tree = hooking.read(path)
            handlers = tuple(settings.found(tree))
        except (hooking.SettingsFileError, settings.BadSettingsError) as error:
            yield Finding("hook-settings", BAD, f"{path}: {error}", "mend the file: its client ignores it")
            continue
        silenced = settings.silenced_by(tree)
        if silenced is not None:
            says = f"{silenced} is set in {path}: no hook of ours runs"
            yield Finding("hooks-silenced", BAD, says, f"take {silenced} out of {path}")
        yield Source(kind, path, handlers)


def look(patient: Patient) -> Iterator[Finding]:
    """Look at what is registered where, what is missing, and what would not run."""
    if not patient.config.tracking.hooks:
        says = "the configuration says that hooks are not read"
        yield Finding("hooks", INFO, says, "set tracking.hooks to true")
    registered = []
    for source in sources(patient):
        if isinstance(source, Finding):
            yield source
        else:
            yield from _elsewhere(source)
            if source.handlers:
                registered.append(source)
    if not registered:
        yield _nothing()
        return
    for source in registered:
        yield from _commands(patient, source)
    yield from _events(patient, registered)


def _nothing() -> Finding:
    """Return that nothing is registered: bad only where there is a client."""
    try:
        is_used = places.config_folder(os.environ).is_dir()
    except RuntimeError:
        is_used = False
    says = "no hook is registered, neither for this user nor for this project"
    return Finding("hooks", BAD if is_used else WARN, says, _INSTALL)


def _elsewhere(source: Source) -> Iterator[Finding]:
    stray = source.path.with_name(_UNREAD)
    try:
        found = list(settings.found(hooking.read(stray)))
    except (hooking.SettingsFileError, settings.BadSettingsError):
        return
    if found and source.kind != SHARED:
        says = f"{words(len(found), 'event')} registered in {stray}, which the client does not read"
        yield Finding("hooks-misplaced", BAD, says, source.install)


def _events(patient: Patient, registered: Sequence[Source]) -> Iterator[Finding]:
    """Compare the events that are registered with those that the client knows."""
    version = patient.client_version
    wanted = [event.name for event in known_to(version)]
    lines: dict[str, list[str]] = {}
    for source in registered:
        for one in source.handlers:
            lines.setdefault(one.event, []).append(line_of(one.handler))
    missing = [name for name in wanted if name not in lines]
    if missing:
        says = f"{len(missing)} of {words(len(wanted), 'event')} not registered: {', '.join(missing)}"
        yield Finding("hooks-missing", WARN, says, registered[0].install, len(missing))
    unknown = sorted(lines.keys() - set(wanted))
    if unknown and version is not None and version < TOLERANT:
        says = f"the client does not know {', '.join(unknown)}, and ignores its whole settings file for that"
        yield Finding("hooks-unknown", BAD, says, registered[0].install, len(unknown))
    # The client runs equal lines once, wherever they stand.
    twice = sorted(name for name, told in lines.items() if len(set(told)) > 1)
    if twice:
        says = f"{words(len(twice), 'event')} delivered twice, by lines that differ: {', '.join(twice)}"
        places_ = ", ".join(str(source.path) for source in registered)
        yield Finding(
            "hooks-twice", WARN, says, f"sessionctl hooks uninstall in one of: {places_}", len(twice)
        )
    if not missing and not twice:
        where = ", ".join(str(source.path) for source in registered)
        yield Finding(
            "hooks", OK, f"all {len(wanted)} events that the client knows are registered in {where}"
        )


def _commands(patient: Patient, source: Source) -> Iterator[Finding]:
    """Look whether what is registered is there, and ours."""
    ours = hooking.command(patient.spool.folder)
    events = {event.name: event for event in known_to(None)} | {
        event.name: event for event in known_to(patient.client_version)
    }
    for line, one in commands(source).items():
        event = events.get(one.event)
        absent = missing_program(one.handler)
        if absent is not None:
            says = f"{source.path} registers {absent}, which is not there: no hook runs"
            yield Finding("hook-command", BAD, says, source.install, examples=(line,))
        elif event is None or one.handler != settings.handler_of(event, ours, patient.client_version):
            says = f"{source.path} registers the hooks of another installation, or of another client version"
            yield Finding("hook-command", WARN, says, source.install, examples=(line,))
        else:
            yield Finding("hook-command", OK, f"{source.path} registers this installation", examples=(line,))


def commands(source: Source) -> dict[str, Found]:
    """Return the different command lines of a settings file, without the event, and a handler of each."""
    found: dict[str, Found] = {}
    for one in source.handlers:
        line = line_of(one.handler)
        found.setdefault(line.removesuffix(one.event).rstrip(), one)
    return found


def line_of(handler: dict[str, Any]) -> str:
    """Return a handler's command line for people."""
    return " ".join(words_of(handler))


def words_of(handler: dict[str, Any]) -> list[str]:
    """Return what a handler runs; the line of a shell is one word."""
    arguments = handler.get("args")
    rest = [str(word) for word in arguments] if isinstance(arguments, list) else []
    return [str(handler.get("command", "")), *rest]


def missing_program(handler: dict[str, Any]) -> str | None:
    """Return the program, or the file that it runs, if it is not there; a shell says so itself."""
    words_ = words_of(handler)
    if not isinstance(handler.get("args"), list):
        return None
    if shutil.which(words_[0]) is None:
        return words_[0]
    scripts = [word for word in words_[1:] if word.endswith(".py")]
    return next((word for word in scripts if not Path(word).is_file()), None)
