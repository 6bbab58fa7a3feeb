"""Programs that write session files as fast as they are told, each in a process of its own.

``python -m benchmarks.writers replaces FILE NUMBER COUNT SECONDS``, or ``saves FOLDER FIRST FOLDERS ROUNDS``,
or ``sessions FOLDER FIRST COUNT``; each prints when it began and ended, in monotonic seconds, as JSON.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks import corpus


class Wrote(NamedTuple):
    """When a writer's first write began and its last ended, in monotonic seconds of this machine."""

    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long it wrote."""
        return self.ended - self.began


class Writer:
    """A running writer."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def wait(self, seconds: float) -> Wrote:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: It takes longer.
            ValueError: It failed; its own words are on standard error.
        """
        said, _ = self._process.communicate(timeout=seconds)
        return Wrote(*json.loads(said))


@contextlib.contextmanager
def started(*arguments: object) -> Iterator[Writer]:
    """Start a writer; it is killed if it still runs at the end of the block."""
    command = [sys.executable, "-m", "benchmarks.writers", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield Writer(process)
    finally:
        process.kill()
        process.communicate()


def replaces(file: str, number: str, count: str, seconds: str) -> Wrote:
    """Replace one file so many times, evenly over so many seconds; step N is the N-th."""
    contents = [corpus.encoded(corpus.document(int(number), step=step + 1)) for step in range(int(count))]
    began = time.monotonic() + 0.1
    for index, content in enumerate(contents, 1):
        time.sleep(max(0.0, began + index / int(count) * float(seconds) - time.monotonic()))
        _replace(file, content)
    return Wrote(began, time.monotonic())


def saves(folder: str, first: str, folders: str, rounds: str) -> Wrote:
    """Replace each of so many sessions in turn, again and again, at full speed; step N is the N-th round."""
    numbers = range(int(first), int(first) + int(folders))
    halves = [_halves(number) for number in numbers]
    files = [f"{folder}/{corpus.name(number)}/state.json" for number in numbers]
    began = time.monotonic()
    for step in range(1, int(rounds) + 1):
        middle = b"%d" % step
        for file, (head, tail) in zip(files, halves, strict=True):
            _replace(file, head + middle + tail)
    return Wrote(began, time.monotonic())


def sessions(folder: str, first: str, count: str) -> Wrote:
    """Make so many session folders, each with its first file written in place at once, at full speed."""
    numbers = range(int(first), int(first) + int(count))
    halves = _halves(int(first))
    own = corpus.name(int(first)).encode()
    began = time.monotonic()
    for number in numbers:
        name = corpus.name(number)
        os.mkdir(f"{folder}/{name}")  # noqa: PTH102 - the writer is to be fast
        content = (halves[0] + b"1" + halves[1]).replace(own, name.encode())
        _write(f"{folder}/{name}/state.json", content)
    return Wrote(began, time.monotonic())


def _halves(number: int) -> tuple[bytes, bytes]:
    """Return what stands before and after the step in a document."""
    mark = 987654321
    head, tail = corpus.encoded(corpus.document(number, step=mark)).split(b"%d" % mark)
    return head, tail


def _replace(file: str, content: bytes) -> None:
    temporary = f"{file}.tmp"
    _write(temporary, content)
    os.replace(temporary, file)  # noqa: PTH105 - the writer is to be fast


def _write(file: str, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(descriptor, content)
    os.close(descriptor)


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    programs: dict[str, Callable[..., Wrote]] = {"replaces": replaces, "saves": saves, "sessions": sessions}
    program = programs[kind]
    print(json.dumps(program(*arguments)))
