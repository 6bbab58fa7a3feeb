"""A systemd unit: the shipped one, with the real program, roots, variables and times put in."""

import re

from sessionlib.cli.service import quoting
from sessionlib.cli.service.definitions import MARKER, SYSTEM_TEMPLATE, USER_TEMPLATE, shipped
from sessionlib.cli.service.launch import STOP_TIMEOUT, Launch

_PROGRAM = re.compile(r"(?P<key>ExecStartPre|ExecStart|ExecReload)=(?P<ignored>-?)\S+/sessiond (?P<verb>\S+)")
_KILL = "ExecReload=/bin/kill"
_STOP = "TimeoutStopSec="


def unit_text(launch: Launch, *, system: bool) -> str:
    """Return the unit for this launch.

    Raises:
        UsageError: systemd cannot take one of its paths.
    """
    edit = "systemctl edit sessiond" if system else "systemctl --user edit sessiond"
    lines = [f"# {MARKER}. Keep changes of your own in a drop-in: {edit}"]
    for line in shipped(SYSTEM_TEMPLATE if system else USER_TEMPLATE).splitlines():
        lines.append(_filled(line, launch))
        if line.startswith(_KILL):
            lines += [
                f"Environment={quoting.assignment(name, value)}"
                for name, value in sorted(launch.environment.items())
            ]
    return "\n".join(lines) + "\n"


def _filled(line: str, launch: Launch) -> str:
    if line.startswith(_STOP) and launch.stop_timeout != STOP_TIMEOUT:
        return f"{_STOP}{launch.stop_timeout}s"
    found = _PROGRAM.fullmatch(line)
    if found is None:
        return line
    words = [quoting.program(str(launch.program)), found["verb"]]
    if found["key"] == "ExecStart":
        words += map(quoting.argument, launch.arguments)
    return f"{found['key']}={found['ignored']}{' '.join(words)}"
