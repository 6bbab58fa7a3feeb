"""The test's end of `cradle`: daemons that start at once, with the face of `subprocess.Popen`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class Child:
    """One forked daemon.

    Args:
        pid: Its process id.
        ended: Where its exit code will stand.
    """

    def __init__(self, pid: int, ended: Path) -> None:
        self.pid = pid
        self._ended = ended
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code (negative: the signal that ended it), or None while it runs."""
        if self.returncode is None and self._ended.exists():
            self.returncode = int(self._ended.read_text())
        return self.returncode

    def wait(self, timeout: float = 30.0) -> int:
        """Wait for the end, at most so many seconds, and return the exit code."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(["sessiond"], timeout)
            time.sleep(0.002)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


class Nursery:
    """Starts daemons; one at a time asks."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._count = 0

    def start(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        failpoint: tuple[str, str, int] | None = None,
    ) -> Child:
        """Start a daemon that logs to this file; with a failpoint it kills itself there."""
        self._count += 1
        ended = log.with_name(f"{log.name}.{self._count}.ended")
        order = {
            "argv": list(argv),
            "environment": dict(environment),
            "log": str(log),
            "ended": str(ended),
            "failpoint": failpoint,
        }
        inbox, outbox = self._pipes()
        inbox.write(json.dumps(order) + "\n")
        inbox.flush()
        return Child(int(outbox.readline()), ended)

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout


@contextmanager
def nursery() -> Iterator[Nursery]:
    """Give a nursery; whatever it has started is killed at the end of the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.cradle"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        made = Nursery(process)
        inbox, outbox = made._pipes()
        said = outbox.readline()
        assert said == "loaded\n", said
        yield made
        inbox.close()
        process.wait(30)
