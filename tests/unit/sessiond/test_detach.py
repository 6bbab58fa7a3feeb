"""The word between a detached daemon and the command that started it. The rest is an integration test."""

import json
import os
import threading
from collections.abc import Iterator

import pytest

from sessiond.detach import Readiness, ensure_standard_streams


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe; the test or the readiness closes its second end."""
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)


def words(reader: int) -> list[dict[str, object]]:
    """Everything that is said until the pipe is closed."""
    with os.fdopen(os.dup(reader)) as file:
        return [json.loads(line) for line in file]


def test_a_word_is_given_once(pipe: tuple[int, int]) -> None:
    """The first counts; later ones are harmless and go nowhere, not into a descriptor used again."""
    reader, writer = pipe
    readiness = Readiness(writer)
    assert not readiness.given
    readiness.ready("waiting for the database")
    assert readiness.given
    again, other = os.pipe()
    readiness.ready()
    readiness.failed("late", 1)
    os.close(other)
    assert words(again) == []
    os.close(again)
    assert words(reader) == [{"ready": True, "note": "waiting for the database"}]


def test_a_failure_carries_code_and_hint(pipe: tuple[int, int]) -> None:
    """Line breaks in a message do not break the protocol."""
    reader, writer = pipe
    Readiness(writer).failed("no\nroom", 69, hint="make some")
    assert words(reader) == [{"ready": False, "message": "no\nroom", "code": 69, "hint": "make some"}]


def test_nobody_listens_any_more(pipe: tuple[int, int]) -> None:
    """The command was interrupted: the daemon's word is lost and the daemon is not."""
    _, writer = pipe
    unheard, only = os.pipe()
    os.close(unheard)
    readiness = Readiness(only)
    readiness.ready()
    assert readiness.given
    os.close(writer)


def test_threads_may_speak_at_once(pipe: tuple[int, int]) -> None:
    """Ready and failed at the same moment: one of them is said, whole."""
    reader, writer = pipe
    readiness = Readiness(writer)
    start = threading.Barrier(8)

    def speak() -> None:
        start.wait()
        readiness.ready()

    threads = [threading.Thread(target=speak) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert words(reader) == [{"ready": True, "note": None}]


def test_open_streams_are_left_alone() -> None:
    """Where all three are open nothing is opened or replaced."""
    before = [os.fstat(number) for number in range(3)]
    ensure_standard_streams()
    assert [os.fstat(number) for number in range(3)] == before
