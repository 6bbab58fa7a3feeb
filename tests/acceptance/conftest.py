"""Daemons that are stopped whatever happens."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.processes import Daemon, environment

StartDaemon = Callable[..., Daemon]


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[StartDaemon]:
    """Start a daemon on some roots and a database; it is stopped at the end of the test."""
    started: list[Daemon] = []

    def start(url: str, *roots: Path, options: tuple[str, ...] = ()) -> Daemon:
        daemon = Daemon(
            list(roots), environment(url, tmp_path / "state"), tmp_path / "daemon.log", list(options)
        )
        started.append(daemon)
        return daemon.start()

    yield start
    for daemon in started:
        daemon.stop()
