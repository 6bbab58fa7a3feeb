"""How long the tracker waits after a turn that failed. Pure."""

from sessionlib.errors import DatabaseBusyError
from sessionlib.sync.retry import WHOLE

FIRST = 0.5
OUTAGE_MOST, MOST = 2.0, 15.0
"""Seconds between two tries: while the database is away, as what waits is to be stored soon after it is back;
and after any other error, which may last for ever while each try looks at all journals."""
_OUTAGES = (*WHOLE, DatabaseBusyError)


class Patience:
    """Doubles the wait from one failure to the next.

    Attributes:
        is_outage: Whether nothing is wrong, or nothing but that the database is away as a whole.
    """

    def __init__(self) -> None:
        self.is_outage = True
        self._next = FIRST

    def failed(self, error: Exception) -> float:
        """Return the seconds to wait after a turn that ended with this error."""
        self.is_outage = isinstance(error, _OUTAGES)
        most = OUTAGE_MOST if self.is_outage else MOST
        delay = min(self._next, most)
        self._next = min(2 * delay, most)
        return delay

    def succeeded(self) -> None:
        """Note that a turn came to its end."""
        self.is_outage = True
        self._next = FIRST
