"""Whether a part of the process gets on with its work: what the service watchdog is fed by."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """One part at one moment; times are monotonic seconds.

    Attributes:
        name: The part.
        alive: False when its thread has ended.
        since: When it last finished something; None before.
        holding_since: Since when it has had the oldest work it could do now; None while it has none. What
            waits for somebody else (a database that is down, a delay that must pass) is not held.
        doing: What it is at, in words.
    """

    name: str
    alive: bool
    since: float | None = None
    holding_since: float | None = None
    doing: str | None = None

    def is_stuck(self, now: float, limit: float) -> bool:
        """Tell whether it is dead, or has held work for `limit` seconds without finishing anything."""
        if not self.alive:
            return True
        if self.holding_since is None:
            return False
        return now - max(self.holding_since, self.since or self.holding_since) > limit
