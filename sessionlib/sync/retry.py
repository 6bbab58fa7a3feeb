"""Retry as data: how long to wait after a failure, and when to stop.

tenacity's waiting and stopping rules do the arithmetic; the queue obeys without ever sleeping in a worker.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
    wait_exponential_jitter,
)

from sessionlib.errors import (
    DatabaseRefusedError,
    DatabaseUnavailableError,
    SchemaMismatchError,
    SchemaMissingError,
    SessionlibError,
)

WHOLE = (DatabaseUnavailableError, DatabaseRefusedError, SchemaMismatchError, SchemaMissingError)
"""Errors that say that no folder can be synced now, whichever it is."""
TORN_DELAYS = (0.05, 0.15, 0.4)
"""Seconds between looks at a file that is being written in place; no write takes longer than their sum."""


def is_transient(error: BaseException) -> bool:
    """Tell whether waiting can help; the error itself knows."""
    return isinstance(error, SessionlibError) and error.transient


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long: exponential, jittered, capped.

    Attributes:
        attempts: Tries in all, the first included.
        first: Seconds before the second try.
        cap: Longest wait in seconds.
        jitter: Up to so many seconds are added at random, so that many keys do not come back at once.
    """

    attempts: int = 6
    first: float = 0.1
    cap: float = 5.0
    jitter: float = 0.1

    def begin(self) -> "Attempts":
        """Return the retry state of one piece of work that is about to be tried."""
        return Attempts(self)

    def wait(self) -> wait_exponential_jitter:
        """Return tenacity's waiting rule."""
        return wait_exponential_jitter(multiplier=self.first, max=self.cap, jitter=self.jitter)

    def retrying(self, stop: Event) -> Retrying:
        """Return a tenacity loop for work that may block its thread; `stop` wakes it from its wait."""
        return Retrying(
            retry=retry_if_exception(is_transient),
            stop=stop_after_attempt(self.attempts) | stop_when_event_set(stop),
            wait=self.wait(),
            sleep=sleep_using_event(stop),
            reraise=True,
        )


class Attempts:
    """How often one piece of work has been tried."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._wait: Callable[[RetryCallState], float] = policy.wait()
        self._stop = stop_after_attempt(policy.attempts)
        self._state = RetryCallState(Retrying(), fn=None, args=(), kwargs={})

    @property
    def count(self) -> int:
        """Tries so far."""
        return self._state.attempt_number

    def next_delay(self, error: BaseException) -> float | None:
        """Return the seconds to wait before the next try, or None to give up."""
        if not is_transient(error) or self._stop(self._state):
            return None
        delay = self._wait(self._state)
        self._state.prepare_for_next_attempt()
        return delay
