"""The files side: session folders, their documents, and where they lie. It knows no database.

`files` and `scan` see and read, `document` understands, `manager` changes; `checkout` tells what repository a
folder belongs to.
"""

from sessionlib.state.checkout import Checkout, find_checkout, normalise_remote
from sessionlib.state.document import (
    Checkpoint,
    Commit,
    Decision,
    DocUpdate,
    Link,
    ResearchRun,
    SessionContent,
    decode,
    interpret,
    sanitized,
)
from sessionlib.state.files import (
    Inputs,
    Look,
    SessionLock,
    Signature,
    locked,
    look,
    read_inputs,
    write_atomic,
)
from sessionlib.state.layout import (
    DEFAULT_SESSIONS_DIR,
    LOCK_FILE,
    PLAN_FILE,
    RESEARCH_DIR,
    STATE_FILE,
    TEMP_PREFIX,
    slug_problem,
)
from sessionlib.state.manager import KEEP, SaveCallback, StateManager
from sessionlib.state.phases import allowed
from sessionlib.state.scan import (
    Discovery,
    FinderOptions,
    FoundRoot,
    Listing,
    chain_of,
    find_roots,
    is_pruned,
    list_sessions,
    session_place,
    sessions_roots_of,
)

__all__ = [
    "DEFAULT_SESSIONS_DIR",
    "KEEP",
    "LOCK_FILE",
    "PLAN_FILE",
    "RESEARCH_DIR",
    "STATE_FILE",
    "TEMP_PREFIX",
    "Checkout",
    "Checkpoint",
    "Commit",
    "Decision",
    "Discovery",
    "DocUpdate",
    "FinderOptions",
    "FoundRoot",
    "Inputs",
    "Link",
    "Listing",
    "Look",
    "ResearchRun",
    "SaveCallback",
    "SessionContent",
    "SessionLock",
    "Signature",
    "StateManager",
    "allowed",
    "chain_of",
    "decode",
    "find_checkout",
    "find_roots",
    "interpret",
    "is_pruned",
    "list_sessions",
    "locked",
    "look",
    "normalise_remote",
    "read_inputs",
    "sanitized",
    "session_place",
    "sessions_roots_of",
    "slug_problem",
    "write_atomic",
]
