"""A project of many sessions and the wired sync path (queue, workers, mirror), on one database.

Files are spoilt and healed; after each sync the rows of every session are compared with what its files say.
"""

import json
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from sessionlib.config import load
from sessionlib.runtime import Runtime
from sessionlib.sync.mirror import Outcome, Result
from tests import builders
from tests.hostile import oracle
from tests.hostile.entry import PLAN, RUN, STATE
from tests.hostile.oracle import Expected

_PATIENCE = 240.0
_CHUNK = 50
_BAD_OUTCOMES = frozenset({Outcome.REJECTED, Outcome.UNREADABLE, Outcome.TORN})


class _Faults(logging.Handler):
    """Collects what the sync path logs about defects: errors, and anything with a traceback."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR or record.exc_info or "rejected" in getattr(record, "event", ""):
            self.lines.append(
                f"{record.getMessage()} {getattr(record, 'fields', '')} {record.exc_info or ''}"
            )


class Garden(AbstractContextManager["Garden"]):
    """Sessions ``s000``, ``s001`` … of one project; use it as a context manager.

    Attributes:
        root: The sessions root.
        runtime: The wired parts, as every door has them.
    """

    def __init__(self, url: str, folder: Path) -> None:
        overrides = {"database": {"url": url}, "daemon": {"state_dir": folder / "state"}}
        self.root = builders.make_project(folder / "garden") / "agents/sessions"
        self.runtime = Runtime.open(load(overrides=overrides, environ={}), start=False)
        self._results: dict[str, Result] = {}
        self._good: dict[str, Expected] = {}
        self._faults = _Faults()

    def __enter__(self) -> Self:
        logging.getLogger("sessionlib").addHandler(self._faults)
        self.runtime.queue.listen(on_recover=lambda: None, on_results=self._note)
        self.runtime.queue.start()
        self.place = self.runtime.registrar.place_of(self.root)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.runtime.close()
        logging.getLogger("sessionlib").removeHandler(self._faults)

    def _note(self, results: Sequence[tuple[Path, Result]], _live: bool) -> None:
        self._results.update((path.name, result) for path, result in results)

    def slug(self, number: int) -> str:
        """Return the name of a session's folder."""
        return f"s{number:04}"

    def folder(self, slug: str) -> Path:
        """Return a session's folder."""
        return self.root / slug

    def heal(self, slugs: Iterable[str], turn: int = 0) -> None:
        """Give these sessions good files, each of another shape, and others in every turn."""
        shapes = [make(topic=f"@ in turn {turn}") for make in builders.SESSIONS.values()]
        states = [json.dumps(shape) for shape in shapes]
        plan = json.dumps(builders.plan(5)).encode()
        runs = {RUN.split("/")[1]: json.dumps(builders.research_run(request=f"turn {turn}")).encode()}
        for slug in slugs:
            state = states[(int(slug[1:]) + turn) % len(states)].replace("@ in", f"{slug} in")
            builders.make_session(self.root, slug, state.encode(), plan, runs)

    def sync(self, slugs: Collection[str]) -> list[str]:
        """Sync these sessions as a reconcile does; return what is wrong with how that went."""
        self._results.clear()
        ticket = self.runtime.queue.submit_batch([self.folder(slug) for slug in slugs])
        if not ticket.wait(_PATIENCE):
            return [f"not done within {_PATIENCE} s: {self.runtime.queue.stats()}"]
        problems = [
            f"{slug}: {result.outcome}: {result.error}"
            for slug, result in self._results.items()
            if result.outcome in _BAD_OUTCOMES
        ]
        if self.runtime.queue.owed:
            problems.append(f"owed: {list(self.runtime.queue.owed.items())[:3]}")
        problems += self._faults.lines
        self._faults.lines.clear()
        return problems

    def check(self, slugs: Iterable[str]) -> dict[str, list[str]]:
        """Compare the rows of these sessions with their files; return what differs, by slug."""
        found: dict[str, list[str]] = {}
        waiting = list(slugs)
        with self.runtime.database.read() as connection:
            stored = oracle.stored(connection, self.place, waiting)
            for start in range(0, len(waiting), _CHUNK):
                expected = {slug: oracle.expect(self.place, slug) for slug in waiting[start : start + _CHUNK]}
                for slug, one in expected.items():
                    if one.error is None:
                        self._good[slug] = one.kept()
                    if problems := oracle.differences(one, self._good[slug], stored[slug]):
                        found[slug] = problems
                for slug in oracle.restored_differently(connection, self.place, expected):
                    found.setdefault(slug, []).append("the stored document means something else")
        return found

    def errors(self) -> Mapping[str, str | None]:
        """Return what the last sync said of each session."""
        return {slug: result.error for slug, result in self._results.items()}

    def warnings(self, slug: str) -> list[tuple[str, str]]:
        """Return what a session's files cause warnings about."""
        read = oracle.expect(self.place, slug).read
        return [] if read.content is None else list(read.content.warnings)


FILES = (STATE, PLAN, RUN)
"""The files of a session that can be spoilt."""
