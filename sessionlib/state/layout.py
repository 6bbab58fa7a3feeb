"""Names of the files and folders of a session, and which names a session folder may carry.

Names are ``str`` as the operating system's decoder gives them: bytes that are not UTF-8 arrive as lone
surrogates (``os.fsdecode``). The file side passes them through; whoever stores a name must escape it.
"""

import re

STATE_FILE = "state.json"
PLAN_FILE = "plan.json"
LOCK_FILE = ".state.lock"
RESEARCH_DIR = "research"
DEFAULT_SESSIONS_DIR = "agents/sessions"

TEMP_PREFIX = ".state.json."
"""What our half-written files begin with; a watcher that knows only ``state.json`` never sees them."""

TEMP_NAME = re.compile(r"\.state\.json\.\d+-[0-9a-f]{16}\.tmp")
"""The whole of such a name, so that cleaning up takes nobody else's dot-file."""

_MAX_NAME_BYTES = 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f/\\]")


def slug_problem(name: str) -> str | None:
    """Say in words why a new session folder cannot have this name, or return None when it can.

    Only new folders are held to this; folders that exist are listed whatever they are called.
    """
    if not name:
        return "is empty"
    if name.startswith("."):
        return "begins with a dot, which hides it from every listing"
    if _CONTROL.search(name):
        return "holds a path separator or a control character"
    if len(name.encode("utf-8", "surrogateescape")) > _MAX_NAME_BYTES:
        return f"is longer than {_MAX_NAME_BYTES} bytes"
    return None
