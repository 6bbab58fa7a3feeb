"""A project under a running daemon that bad things happen to, with a neighbour that must never notice."""

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests import builders, loglines
from tests.acceptance.conftest import StartDaemon
from tests.acceptance.processes import Daemon, direct

Wait = Callable[..., None]
ROOT = "agents/sessions"
NEIGHBOUR = "neighbour"
_COLUMNS = ("slug", "topic", "error", "missing_since", "warnings")


class Garden:
    """One project with some sessions, and another one beside it with the neighbour.

    Args:
        home: Where the watched folder `code` is made.
        url: The database.
        wait_until: The fixture.
    """

    def __init__(self, home: Path, url: str, wait_until: Wait) -> None:
        self.code = home / "code"
        self.project = builders.make_project(self.code / "garden")
        self.root = self.project / ROOT
        self.wait_until = wait_until
        self._url = url
        self._daemon: Daemon | None = None
        self._numbers = itertools.count(1)
        self._beside = builders.make_project(self.code / "beside", [NEIGHBOUR]) / ROOT

    @property
    def daemon(self) -> Daemon:
        """The running daemon."""
        assert self._daemon is not None
        return self._daemon

    def start(self, start_daemon: StartDaemon, slugs: Iterable[str] | None = None) -> None:
        """Start the daemon, and wait until these sessions are mirrored; all there are by default."""
        self._daemon = start_daemon(self._url, self.code)
        wanted = {path.name for path in self.root.iterdir()} if slugs is None else set(slugs)
        self.wait_until(lambda: wanted <= set(self.rows()), "the import", 20)

    def save(self, slug: str, topic: str, **parts: Any) -> Path:
        """Save a good document with this topic as careful writers do."""
        return builders.make_session(self.root, slug, builders.v2(topic=topic), **parts)

    def rows(self) -> dict[str, dict[str, Any]]:
        """Return what the session rows say now, by slug."""
        rows = direct(self._url, f"SELECT {', '.join(_COLUMNS)} FROM sessions")
        return {row[0]: dict(zip(_COLUMNS, row, strict=True)) for row in rows}

    def tell(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the database directly."""
        return direct(self._url, statement)

    def topics(self, slugs: Iterable[str]) -> dict[str, Any]:
        """Return the topic of each of these sessions."""
        rows = self.rows()
        return {slug: rows[slug]["topic"] if slug in rows else None for slug in slugs}

    def wait_for(
        self, wanted: Callable[[dict[str, Any]], object], slugs: Iterable[str], seconds: float = 20
    ) -> None:
        """Wait until the rows of these sessions are as wanted; fail with those that are not."""
        left = list(slugs)

        def done() -> bool:
            rows = self.rows()
            left[:] = [slug for slug in left if not (slug in rows and wanted(rows[slug]))]
            return not left

        try:
            self.wait_until(done, "the rows", seconds)
        except pytest.fail.Exception:
            rows = self.rows()
            pytest.fail(f"{ {slug: rows.get(slug) for slug in left} }\n{self.daemon.log[-3000:]}")

    def check_alive(self) -> None:
        """See that the same process mirrors the neighbour at once, and that every line of its log is one."""
        topic = f"neighbour's {next(self._numbers)}"
        builders.make_session(self._beside, NEIGHBOUR, builders.v2(topic=topic))
        self.wait_until(lambda: self.rows()[NEIGHBOUR]["topic"] == topic, "the neighbour")
        assert self.daemon.process is not None
        assert self.daemon.process.poll() is None
        self.check_log()

    def check_log(self) -> None:
        """See that every line of the log is whole, printable and of one record, and that nothing crashed."""
        said = self.daemon.log_path.read_bytes()
        for line in loglines.lines(said[: said.rfind(b"\n") + 1]):
            assert ".crashed" not in loglines.fields(line)["event"], line
            assert loglines.fields(line)["event"] not in {"watch.reader_error", "watch.upkeep_error"}, line
