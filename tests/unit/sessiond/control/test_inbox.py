"""What waits for one listener of the change feed."""

import asyncio
import threading

from sessiond.control.streaming import Inbox
from sessiond.feed import Feed
from tests.controls import change


def test_changes_of_another_thread_wake_the_listener_once() -> None:
    """Many changes published at once are taken together, in order."""

    async def scenario() -> list[str]:
        feed = Feed()
        inbox = Inbox(asyncio.get_running_loop(), 100)
        feed.subscribe(inbox.hear)
        publisher = threading.Thread(
            target=feed.publish, args=([change(str(number)) for number in range(50)],)
        )
        publisher.start()
        publisher.join()
        await asyncio.wait_for(inbox.filled.wait(), 5)
        lost, waiting = inbox.take()
        assert lost is None
        assert inbox.take() == (None, [])
        return [entry.change.slug for entry in waiting]

    assert asyncio.run(scenario()) == [str(number) for number in range(50)]


def test_no_change_is_lost_between_two_takes() -> None:
    """However publishing and taking interleave, every change arrives once, and the listener never sleeps."""

    async def scenario() -> list[int]:
        feed = Feed()
        inbox = Inbox(asyncio.get_running_loop(), 100_000)
        feed.subscribe(inbox.hear)
        publisher = threading.Thread(
            target=lambda: [feed.publish([change(seq=number)]) for number in range(5000)]
        )
        publisher.start()
        taken: list[int] = []
        while len(taken) < 5000:
            await asyncio.wait_for(inbox.filled.wait(), 5)
            taken += [entry.change.seq for entry in inbox.take()[1]]
        publisher.join()
        return taken

    assert asyncio.run(scenario()) == list(range(5000))


def test_a_listener_that_is_too_slow_starts_again_from_now() -> None:
    """What waits is dropped with all that comes before the next take, and the last of it is named."""

    async def scenario() -> None:
        feed = Feed()
        inbox = Inbox(asyncio.get_running_loop(), 10)
        feed.subscribe(inbox.hear)
        feed.publish(change(str(number)) for number in range(10))
        assert [len(inbox.take()[1]), inbox.take()] == [10, (None, [])]
        feed.publish(change(str(number)) for number in range(25))
        assert inbox.take() == (feed.last_id, [])
        feed.publish([change("next")])
        lost, waiting = inbox.take()
        assert (lost, [entry.change.slug for entry in waiting]) == (None, ["next"])

    asyncio.run(scenario())


def test_publishing_to_an_ended_loop_harms_nobody() -> None:
    """The daemon goes on publishing while the control server stops."""
    loop = asyncio.new_event_loop()
    inbox = Inbox(loop, 10)
    loop.close()
    feed = Feed()
    feed.subscribe(inbox.hear)
    feed.publish([change()])
