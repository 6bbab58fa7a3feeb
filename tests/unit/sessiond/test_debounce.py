"""The debouncer: its rule with a clock of our own, its thread with the real one."""

import threading
import time

import pytest

from sessiond.debounce import Debouncer, Flurries

QUIET, LONGEST = 1.0, 5.0


@pytest.fixture
def flurries() -> Flurries[str]:
    """The rule, with whole seconds."""
    return Flurries(quiet=QUIET, longest=LONGEST)


class TestFlurries:
    def test_first_ring_is_passed_on(self, flurries):
        """The first ring of a key goes at once, whatever other keys do."""
        assert flurries.touch("a", 0.0)
        assert flurries.touch("b", 0.1)

    def test_later_rings_are_held_until_quiet(self, flurries):
        """Rings within the quiet time are passed on as one, when the key has been quiet."""
        flurries.touch("a", 0.0)
        assert not flurries.touch("a", 0.5)
        assert not flurries.touch("a", 1.0)
        assert flurries.due(1.9) == []
        assert flurries.due(2.0) == ["a"]
        assert flurries.due(9.0) == []

    def test_single_ring_is_not_repeated(self, flurries):
        """A ring that nothing followed is not passed on twice."""
        flurries.touch("a", 0.0)
        assert flurries.due(10.0) == []

    def test_steady_rings_are_passed_on_after_the_longest_time(self, flurries):
        """A key that never falls quiet is passed on each time the longest delay is over."""
        fired = []
        for tick in range(200):  # 20 seconds, ten rings a second
            now = tick / 10
            if flurries.touch("a", now):
                fired.append(now)
            fired += [now] * len(flurries.due(now))
        assert fired == [0.0, pytest.approx(5.1), pytest.approx(10.2), pytest.approx(15.3)]

    def test_ring_after_quiet_begins_anew(self, flurries):
        """After the quiet time the next ring goes at once again, also when nobody asked what is due."""
        flurries.touch("a", 0.0)
        assert flurries.touch("a", 1.0)
        flurries.due(3.0)
        assert flurries.touch("a", 3.5)

    def test_quiet_keys_are_forgotten(self, flurries):
        """Nothing is kept of a key that fell quiet, and nothing is planned for it."""
        for number in range(1000):
            flurries.touch(str(number), number / 1000)
        assert len(flurries) == 1000
        flurries.due(2.0)
        assert len(flurries) == 0
        assert flurries.next_deadline() is None

    def test_next_deadline_is_never_late(self, flurries):
        """Asking again at the next deadline misses nothing."""
        flurries.touch("a", 0.0)
        flurries.touch("a", 0.9)
        fired = []
        while (deadline := flurries.next_deadline()) is not None:
            fired += [(deadline, key) for key in flurries.due(deadline)]
        assert fired == [(1.9, "a")]

    def test_take_all(self, flurries):
        """What is held back can be taken at any time; what was passed on is not in it."""
        flurries.touch("a", 0.0)
        flurries.touch("b", 0.0)
        flurries.touch("b", 0.1)
        assert flurries.take_all() == ["b"]
        assert flurries.due(99.0) == []


class TestDebouncer:
    @pytest.fixture
    def fired(self):
        """The keys that were fired, with their times."""
        return []

    @pytest.fixture
    def debouncer(self, fired):
        """A debouncer as the service has it."""
        debouncer = Debouncer(lambda key: fired.append((time.monotonic(), key)), quiet=0.05, longest=0.5)
        yield debouncer
        debouncer.stop(flush=False)

    def test_a_second_of_saves(self, debouncer, fired, wait_until):
        """A thousand rings in a second end in a handful of calls; the last comes soon after the last ring."""
        end = time.monotonic() + 1.0
        last = 0.0
        while time.monotonic() < end:
            last = time.monotonic()
            debouncer.touch("a")
            time.sleep(0.001)
        wait_until(lambda: fired[-1][0] >= last)
        assert 3 <= len(fired) <= 30
        assert fired[-1][0] - last < 0.5

    def test_first_ring_is_fast(self, wait_until):
        """A ring out of the blue does not wait for the quiet time."""
        fired = []
        debouncer = Debouncer(fired.append, quiet=60.0, longest=60.0)
        debouncer.touch("a")
        wait_until(lambda: fired == ["a"])
        debouncer.stop(flush=False)

    def test_callback_that_fails(self, wait_until, caplog):
        """A callback's exception is logged, and the next key is fired."""
        heard = []

        def fire(key):
            heard.append(key)
            raise ValueError(key)

        debouncer = Debouncer(fire)
        debouncer.touch("a")
        debouncer.touch("b")
        wait_until(lambda: heard == ["a", "b"])
        debouncer.stop()
        assert [record.event for record in caplog.records] == ["debounce.failed"] * 2

    def test_callback_that_rings(self, wait_until):
        """A callback may ring itself: no lock is held while it runs."""
        heard = []

        def fire(key):
            heard.append(key)
            if len(heard) < 3:
                debouncer.touch(key + "!")

        debouncer = Debouncer(fire)
        debouncer.touch("a")
        wait_until(lambda: heard == ["a", "a!", "a!!"])
        debouncer.stop()

    def test_flush(self, wait_until):
        """flush fires what is held back on the calling thread, and nothing is fired again."""
        heard = []
        debouncer = Debouncer(
            lambda key: heard.append((threading.current_thread(), key)), quiet=60, longest=60
        )
        debouncer.touch("a")
        wait_until(lambda: len(heard) == 1)
        debouncer.touch("a")
        debouncer.flush()
        debouncer.flush()
        assert heard[1:] == [(threading.current_thread(), "a")]
        debouncer.stop()
        assert len(heard) == 2

    @pytest.mark.parametrize("flush", [True, False])
    def test_stop(self, flush, wait_until):
        """stop ends the thread, fires what is held back or not as it is told, and makes touch a no-op."""
        heard, threads = [], set(threading.enumerate())
        debouncer = Debouncer(heard.append, quiet=60, longest=60)
        debouncer.touch("a")
        wait_until(lambda: heard)
        debouncer.touch("a")
        debouncer.stop(flush=flush)
        debouncer.touch("b")
        debouncer.stop(flush=flush)
        assert heard == (["a", "a"] if flush else ["a"])
        assert set(threading.enumerate()) == threads

    def test_idle_thread_sleeps_without_a_timeout(self, wait_until):
        """While nothing is pending the clock is not even asked."""
        asked = []

        def clock():
            asked.append(True)
            return time.monotonic()

        debouncer = Debouncer(lambda _: None, quiet=0.01, longest=0.02, clock=clock)
        debouncer.touch("a")
        wait_until(lambda: len(debouncer._flurries) == 0)
        time.sleep(0.02)
        asked.clear()
        time.sleep(0.1)
        assert asked == []
        debouncer.stop()


def test_a_key_is_held_until_its_listener_has_it() -> None:
    """A ring that is just being passed on has an age: its listener may not have noted it yet."""
    reached, gate = threading.Event(), threading.Event()

    def fire(_key: str) -> None:
        reached.set()
        gate.wait(10)

    before = time.monotonic()
    one: Debouncer[str] = Debouncer(fire, quiet=0.01, longest=0.05)
    one.touch("a")
    assert reached.wait(10)
    since = one.held_since()
    assert since is not None
    assert before <= since <= time.monotonic()
    gate.set()
    one.stop()
    assert one.held_since() is None
