"""A delivery that is about nobody: it goes the whole way to prove that the way is open, and leaves no row.

`sessionctl doctor` lets the installed hook say it; ingest knows it again by the conversation that it names.
"""

import json
import os

EVENT = "SessiondCanary"
_MARK = "sessiond-canary-"


def hatch() -> str:
    """Return the native id of a new canary, unlike that of any other."""
    return _MARK + os.urandom(8).hex()


def song(native_id: str, cwd: str) -> bytes:
    """Return what a client would say on the hook's standard input."""
    said = {"session_id": native_id, "transcript_path": "", "cwd": cwd, "hook_event_name": EVENT}
    return json.dumps(said).encode()


def is_canary(native_id: str) -> bool:
    """Tell whether a conversation is a canary's."""
    return native_id.startswith(_MARK)
