"""The service definitions as they are shipped: package data, or ``systemd/`` in a checkout."""

from pathlib import Path

from sessionlib.errors import SessionlibError

UNIT = "sessiond.service"
USER_TEMPLATE = "sessiond.user.service"
SYSTEM_TEMPLATE = "sessiond.service"
LABEL = "org.sessiond.sessiond"
PLIST_TEMPLATE = f"{LABEL}.plist"

MARKER = "Written by `sessionctl service install`"
"""Stands in the first lines of every file that we wrote; a file without it is somebody else's."""

_MARKED_LINES = 5

_PACKAGED = Path(__file__).parent / "shipped"
_CHECKOUT = Path(__file__).parents[3] / "systemd"


def shipped(name: str) -> str:
    """Return a definition as it was shipped.

    Raises:
        SessionlibError: The installation is not complete.
    """
    for folder in (_PACKAGED, _CHECKOUT):
        try:
            return (folder / name).read_text(encoding="utf-8")
        except OSError:
            continue
    raise SessionlibError(
        f"the service definition {name} is not in this installation", hint="install sessiond again"
    )


def is_ours(text: str) -> bool:
    """Tell whether we wrote a definition."""
    return any(MARKER in line for line in text.splitlines()[:_MARKED_LINES])
