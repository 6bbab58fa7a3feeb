"""A launchd property list: the shipped one, with the real paths put in; launchd expands none itself."""

import plistlib

from sessionlib.cli.service.definitions import MARKER, PLIST_TEMPLATE, shipped
from sessionlib.cli.service.launch import Launch
from sessionlib.errors import UsageError

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def plist_text(launch: Launch) -> str:
    """Return the property list for this launch.

    Raises:
        UsageError: launchd cannot take one of its paths.
    """
    tree = plistlib.loads(shipped(PLIST_TEMPLATE).encode())
    tree["ProgramArguments"] = [str(launch.program), "run", *launch.arguments]
    tree["ExitTimeOut"] = launch.stop_timeout
    tree["StandardErrorPath"] = str(launch.log)
    if launch.environment:
        tree["EnvironmentVariables"] = dict(sorted(launch.environment.items()))
    try:
        text = plistlib.dumps(tree, sort_keys=False).decode()
    except ValueError as error:
        raise UsageError(
            "a path with control characters, or that is no text, has no place in a property list",
            hint="name other folders",
        ) from error
    return text.replace(_DECLARATION, f"{_DECLARATION}<!-- {MARKER} -->\n", 1)
