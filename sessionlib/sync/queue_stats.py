"""How the queue works, and what it says about itself."""

from dataclasses import dataclass, field

from sessionlib.sync.retry import RetryPolicy

_LINES = 10
"""Into how many groups a long line of live work is cut, as far as a group may be that large."""


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """How the queue works.

    Attributes:
        workers: Threads; all but one may do batch work, so that live work always finds one.
        live_most: Live folders of one root synced in one transaction, while more than one waits. With a long
            line behind it a group may be as large as a reconcile's, because the line is what they wait for.
        batch_most: Folders of a reconcile that one worker takes at a time: 64 cost little more than 500 and
            take much less memory.
        batch_few: As many while there is live work, and for a second after it: on SQLite a long transaction
            keeps it waiting.
        policy: When a folder is tried again.
    """

    workers: int = 4
    live_most: int = 20
    batch_most: int = 64
    batch_few: int = 8
    policy: RetryPolicy = field(default_factory=RetryPolicy)

    def live_size(self, waiting: int) -> int:
        """Return how many live folders a worker takes now, when so many wait."""
        return max(self.live_most, min(self.batch_most, waiting // _LINES))

    def batch_size(self, *, lively: bool) -> int:
        """Return how many folders of a reconcile a worker takes now."""
        return min(self.batch_few, self.batch_most) if lively else self.batch_most


@dataclass(frozen=True, slots=True)
class QueueStats:
    """What the queue holds and has done since it was made.

    Attributes:
        behind: Owed folders that can be read, so that the mirror does not equal the files.
        oldest: Since when the oldest change has been waiting to be mirrored, in monotonic seconds; None
            without one.
        paused: The database's error, while it is down.
        paused_for: Seconds since it went down.
    """

    workers: int
    waiting: int
    running: int
    delayed: int
    owed: int
    behind: int
    synced: int
    written: int
    failed: int
    retried: int
    oldest: float | None
    paused: str | None
    paused_for: float | None
