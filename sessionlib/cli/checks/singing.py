"""Whether a hook that the client runs arrives: the registered command line is run, as the client would."""

import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from sessionlib.cli import hooking
from sessionlib.cli.checks import registration
from sessionlib.cli.checks.finding import BAD, INFO, OK, WARN, Finding
from sessionlib.cli.checks.patient import Patient
from sessionlib.cli.checks.registration import Source
from sessionlib.journal import canary
from sessionlib.journal.claude_code import settings
from sessionlib.journal.claude_code.events import known_to
from sessionlib.journal.spool import FULL_MARK, BadDeliveryError, Spool

_TICK = 0.002
"""Seconds between two looks: a daemon lets a delivery lie for longer than that."""
_TIME = 10.0
"""Seconds that a hook may take; its own limit is one."""
_AFTER = 1.0
"""Seconds after its end until what it has not left is taken for lost."""
_TAKEN = 5.0
"""Seconds until a daemon must have taken it."""


class Ran(NamedTuple):
    """How a hook ended: its exit code, what it printed, and the delivery that it left."""

    code: int | None
    printed: str
    name: str | None


def look(patient: Patient) -> Iterator[Finding]:
    """Run each command line that is registered, and see what arrives."""
    if (patient.spool.folder / FULL_MARK).exists():
        says = "the spool is full and keeps only headers, so no hook was run"
        yield Finding("canary", INFO, says, "start sessiond, which reads it; then look again")
        return
    for source in registration.sources(patient):
        if isinstance(source, Finding):
            continue
        for line, one in registration.commands(source).items():
            if registration.missing_program(one.handler) is not None:
                continue
            if source.kind != registration.USER and not _is_our_own(patient, source):
                # Whoever writes into a project could let this run anything; the client asks before it does.
                says = f"what {source.path} registers is not ours, so it was not run"
                yield Finding("canary", INFO, says, source.install, examples=(line,))
                continue
            yield _sung(patient, source, one.handler, line)


def _is_our_own(patient: Patient, source: Source) -> bool:
    ours = hooking.command(patient.spool.folder)
    events = {event.name: event for event in known_to((999, 0, 0))}
    forms = (patient.client_version, None, (999, 0, 0))
    return all(
        one.event in events
        and any(one.handler == settings.handler_of(events[one.event], ours, form) for form in forms)
        for one in source.handlers
    )


def _sung(patient: Patient, source: Source, handler: dict[str, Any], line: str) -> Finding:
    before = patient.stored() if patient.has_daemon else None
    try:
        ran = _run(patient, handler)
    except OSError as error:
        says = f"the hook in {source.path} cannot be run: {error.strerror}"
        return Finding("canary", BAD, says, source.install, examples=(line,))
    if ran.code is None:
        says = f"the hook in {source.path} did not end within {_TIME:g} s"
        return Finding("canary", BAD, says, source.install, examples=(line,))
    if ran.code or ran.printed:
        told = ran.printed.splitlines()[0][:200] if ran.printed else "nothing"
        says = f"the hook in {source.path} ended with {ran.code} and printed: {told}"
        return Finding("canary", BAD, says, source.install, examples=(line,))
    if ran.name is not None:
        return _arrived(patient, source, ran.name)
    after = patient.stored() if before is not None else None
    if before is not None and after is not None and after > before:
        return Finding(
            "canary", OK, f"the hook in {source.path} runs, and the daemon has stored what it left"
        )
    says = f"the hook in {source.path} runs, but nothing arrives in {patient.spool.folder}"
    return Finding(
        "canary", BAD, says, f"{source.install} (it may write into another spool)", examples=(line,)
    )


def _arrived(patient: Patient, source: Source, name: str) -> Finding:
    where = f"the hook in {source.path} runs, and what it says arrives in {patient.spool.folder}"
    if not patient.has_daemon:
        # It is known now that it arrives; nobody else needs it.
        patient.spool.done(name)
        return Finding("canary", OK, where)
    ends = time.monotonic() + _TAKEN
    while (patient.spool.inbox / name).exists():
        if time.monotonic() > ends:
            return Finding("canary", WARN, f"{where}, but the daemon does not take it", "sessionctl status")
        time.sleep(_TICK)
    return Finding("canary", OK, f"{where}, and the daemon takes it")


def _run(patient: Patient, handler: dict[str, Any]) -> Ran:
    """Run a hook with a canary on its standard input.

    Raises:
        OSError: It cannot be started.
    """
    native_id = canary.hatch()
    words = registration.words_of(handler)
    if not isinstance(handler.get("args"), list):
        words = ["/bin/sh", "-c", words[0]]
    known = set(patient.spool.names(10**9))
    with subprocess.Popen(  # noqa: S603 - what the user has registered, and the client runs all the time
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=patient.folder,
        env=os.environ | {"CLAUDE_PROJECT_DIR": str(patient.folder), "CLAUDE_PID": str(os.getpid())},
        text=True,
        errors="replace",
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("they were asked for")
        try:
            with process.stdin as hearing:
                hearing.write(canary.song(native_id, str(patient.folder)).decode())
        except BrokenPipeError:
            pass  # it does not listen, which its end tells of
        name = _wait(process, patient.spool, known, native_id)
        if process.poll() is None:
            process.kill()
            return Ran(None, "", name)
        return Ran(process.returncode, process.stdout.read(4096), name)


def _wait(process: subprocess.Popen[str], spool: Spool, known: set[str], native_id: str) -> str | None:
    """Wait until the canary lies in the spool; return its name, None if it does not come."""
    ends = time.monotonic() + _TIME
    while time.monotonic() < ends:
        for name in spool.names(10**9):
            if name in known:
                continue
            try:
                if native_id.encode() in spool.read(name).body:
                    process.wait(_TIME)
                    return name
            except FileNotFoundError:
                continue
            except (BadDeliveryError, OSError, subprocess.TimeoutExpired):
                known.add(name)
            known.add(name)
        if process.poll() is not None:
            ends = min(ends, time.monotonic() + _AFTER) if ends > time.monotonic() + _AFTER else ends
        time.sleep(_TICK)
    return None
