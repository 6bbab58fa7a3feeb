"""What is told of an outage says what to do, where the error does."""

from threading import Event

from sessionlib.errors import DatabaseRefusedError, told
from sessionlib.sync.outage import Outage

MALFORMED = DatabaseRefusedError("it is malformed", hint="move it away")
SAID = "it is malformed (move it away)"


def test_an_error_on_one_line() -> None:
    """The hint stands behind the message; an exception without words is told by its name."""
    assert told(MALFORMED) == SAID
    assert told(DatabaseRefusedError("it is read-only")) == "it is read-only"
    assert told(ValueError("odd")) == "odd"
    assert told(ValueError()) == "ValueError"


def test_an_outage_tells_the_next_step() -> None:
    """From the first failure on, and with each probe."""
    stop = Event()

    def probe() -> None:
        stop.set()
        raise MALFORMED

    outage = Outage(probe, stop)
    outage.begin(DatabaseRefusedError("it is read-only", hint="let this user write it"))
    assert outage.error == "it is read-only (let this user write it)"
    assert not outage.wait_for_answer()
    assert outage.error == SAID
