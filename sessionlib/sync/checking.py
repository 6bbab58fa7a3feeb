"""Compare everything without a lock, on a second core where there is one; a rebuild mends as it goes.

The second process runs this module. On its standard input come the database and then one portion after the
other, pickled; it answers each on its standard output with what it found, pickled, or with None where that
failed. It ends with its input.
"""

import contextlib
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from threading import Lock, Thread
from typing import NamedTuple

from sessionlib.db.engine import Database
from sessionlib.errors import DamagedValueError, RowRejectedError
from sessionlib.models.base import utc_now
from sessionlib.sync import anew, piping
from sessionlib.sync.anew import Portion, Readings
from sessionlib.sync.mirror import Mirror
from sessionlib.sync.places import Place, stored_name
from sessionlib.sync.renewing import Renewed
from sessionlib.sync.second import SecondProcess
from sessionlib.sync.surveying import Survey

_WORTH_STARTING = 1_500
"""Sessions from which on a second process is worth its start."""
_MOST_FAILURES = 3
"""Portions that the second process may fail at, one after the other, before it gets no more."""


class Suspect(NamedTuple):
    """A session that seems to differ: where its copies may lie, and its folder's name."""

    places: tuple[Place, ...]
    slug: str


class Found(NamedTuple):
    """What was found of one portion.

    Attributes:
        suspects: The sessions that seem to differ; none where they were renewed.
        torn: Those whose file looks like half of a write, or did so when they were to be renewed.
        unreadable: (path, reason) of files that cannot be read or used.
        renewed: What was written of those that seemed to differ.
    """

    suspects: list[str]
    torn: list[str]
    unreadable: list[tuple[str, str]]
    renewed: Renewed


@dataclass(slots=True)
class Checked:
    """What has been found of all sessions.

    Attributes:
        sessions: How many were compared.
        suspects: Those that seem to differ; of a rebuild, those alone whose file looks half written.
        unreadable: (path, reason) of files that cannot be read or used.
        renewed: What a rebuild has written.
    """

    sessions: int = 0
    suspects: list[Suspect] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    renewed: Renewed = field(default_factory=Renewed)


def check(database: Database, portion: Portion, mirror: Mirror | None = None) -> Found:
    """Compare some sessions without a lock; renew those that seem to differ.

    Args:
        database: With the current schema.
        portion: Which.
        mirror: Renews; without one nothing is written.

    Raises:
        DatabaseError: The database does not answer.
    """
    torn: list[str] = []
    suspects: list[str] = []
    unreadable: list[tuple[str, str]] = []
    early: Readings = {}
    left = portion
    while left.slugs:
        readings = anew.read(left)
        part = left._replace(slugs=tuple(readings))
        left = left._replace(slugs=left.slugs[len(readings) :])
        unreadable += anew.unread(part, readings)
        half_written = anew.torn(readings)
        differing = _differing(database, part, readings, unreadable).difference(half_written)
        # Those of the first look alone: of large files more would only take memory.
        if mirror is not None and not early:
            early = {slug: readings[slug] for slug in part.slugs if slug in differing}
        torn += half_written
        suspects += sorted(differing)
    if mirror is None:
        return Found(suspects, torn, unreadable, Renewed())
    renewed = _renewed(mirror, portion, suspects, early)
    return Found([], [*torn, *renewed.torn], unreadable, renewed)


def _renewed(mirror: Mirror, portion: Portion, slugs: Sequence[str], early: Readings) -> Renewed:
    soon = portion._replace(slugs=tuple(early))
    late = portion._replace(slugs=tuple(slug for slug in slugs if slug not in early))
    return mirror.renew(soon, early=early) + mirror.renew(late)


def _differing(
    database: Database, portion: Portion, readings: Readings, unreadable: list[tuple[str, str]]
) -> set[str]:
    """Return the sessions that seem to differ; what no database can hold is as good as unreadable."""
    try:
        with database.read() as connection:
            held = anew.stored(connection, portion, locked=False)
            if held.is_nothing:
                return set(portion.slugs)
            examined = anew.examine(connection, portion, readings, held, utc_now())
    except (RowRejectedError, DamagedValueError) as error:
        if len(portion.slugs) > 1:
            ones = [portion._replace(slugs=(slug,)) for slug in portion.slugs]
            return set().union(
                *(
                    _differing(database, one, {slug: readings[slug]}, unreadable)
                    for one in ones
                    for slug in one.slugs
                )
            )
        unreadable.append((stored_name(str(portion.places[0].path / portion.slugs[0])), error.message))
        return set()
    unreadable += examined.rejected
    return set(examined.found)


def checked(
    database: Database,
    survey: Survey,
    progress: Callable[[int, int], None],
    mirror: Mirror | None = None,
    second: SecondProcess | None = None,
) -> Checked:
    """Compare all sessions of a survey; blocks.

    Args:
        database: With the current schema.
        survey: Which.
        progress: Told, by this thread, how many sessions of how many are done.
        mirror: Renews what seems to differ; without one nothing is written.
        second: Compares along if there are many, and is ended if there are not; started by now or not.

    Raises:
        DatabaseError: The database does not answer.
    """
    work = _Work(survey, progress)
    is_large = survey.total >= _WORTH_STARTING
    with contextlib.closing(second or SecondProcess()) as other:
        if is_large:
            other.start()
        else:
            other.close()
        helper = _Helper(other, database, work, mends=mirror is not None)
        try:
            for portion in work.portions():
                work.add(portion, check(database, portion, mirror))
                work.tell()
        except BaseException:
            work.stop()
            raise
        finally:
            helper.end()
    for portion in work.given_back():
        work.add(portion, check(database, portion, mirror))
        work.tell()
    work.tell()
    # In one order, whoever compared them.
    work.result.suspects.sort(key=lambda suspect: (suspect.places[0].path, suspect.slug))
    return work.result


class _Work:
    """The portions that are left, and what was found; shared by two threads."""

    def __init__(self, survey: Survey, progress: Callable[[int, int], None]) -> None:
        self._total = survey.total
        self._progress = progress
        self._left = survey.portions()
        self._lock = Lock()
        self._back: list[Portion] = []
        self.result = Checked()

    def portions(self) -> Iterator[Portion]:
        """Take one portion after the other, until nobody has any left."""
        while True:
            with self._lock:
                portion = next(self._left, None)
            if portion is None:
                return
            yield portion

    def add(self, portion: Portion, found: Found) -> None:
        """Note what was found of a portion."""
        with self._lock:
            self.result.sessions += len(portion.slugs)
            self.result.suspects += [Suspect(portion.places, slug) for slug in found.suspects + found.torn]
            self.result.unreadable += found.unreadable
            self.result.renewed += found.renewed

    def stop(self) -> None:
        """Give out no more."""
        with self._lock:
            self._left = iter(())

    def give_back(self, portion: Portion) -> None:
        """Leave a portion, that could not be compared there, to the first process."""
        with self._lock:
            self._back.append(portion)

    def given_back(self) -> list[Portion]:
        """Return what was given back."""
        return self._back

    def tell(self) -> None:
        """Say how far it is."""
        self._progress(self.result.sessions, self._total)


class _Helper:
    """The thread that hands the second process its work, if there is one."""

    def __init__(self, second: SecondProcess, database: Database, work: _Work, *, mends: bool) -> None:
        self._work = work
        self._task = database.url.render_as_string(hide_password=False), database.pgbouncer, mends
        self._connections = second.connections()
        self._thread = Thread(target=self._follow, name="checking", daemon=True)
        if self._connections is not None:
            # No more threads for this user: then the process sees that nobody will ask it, and ends.
            try:
                self._thread.start()
            except RuntimeError:
                for connection in self._connections:
                    connection.close()

    def end(self) -> None:
        """Wait for what it has begun."""
        if self._thread.ident is not None:
            self._thread.join()

    def _follow(self) -> None:
        if self._connections is None:
            return
        requests, answers = self._connections
        with requests, answers, contextlib.suppress(EOFError, OSError):
            requests.send_bytes(pickle.dumps(self._task))
            answers.recv_bytes()
            self._hand_out(requests, answers)

    def _hand_out(self, requests: Connection, answers: Connection) -> None:
        failures = 0
        for portion in self._work.portions():
            is_done = False
            try:
                requests.send_bytes(pickle.dumps(portion, pickle.HIGHEST_PROTOCOL))
                # Pickles are safe here: both ends are this program, and nobody else holds these pipes.
                answer = pickle.loads(answers.recv_bytes())  # noqa: S301
                if answer is not None:
                    self._work.add(portion, Found(*answer))
                    is_done = True
            finally:
                if not is_done:
                    self._work.give_back(portion)
            failures = 0 if is_done else failures + 1
            if failures == _MOST_FAILURES:
                # It seems to be barred from the database. It must not run through all there is.
                return


def serve(requests: Connection, answers: Connection) -> None:
    """Be the second process: compare what is asked for until the other side closes."""
    url, pgbouncer, mends = pickle.loads(requests.recv_bytes())  # noqa: S301 - from who started us
    database = Database(url, pool_size=1, pgbouncer=pgbouncer)
    mirror = Mirror(database) if mends else None
    # Ready: until then no portion waits here.
    answers.send_bytes(b"")
    try:
        while True:
            portion = pickle.loads(requests.recv_bytes())  # noqa: S301 - see above
            found: tuple[object, ...] | None
            try:
                # Plain: the class is another one here, where this module is the program.
                found = tuple(check(database, portion, mirror))
            except Exception:  # noqa: BLE001 - who asked does it itself, and meets the error where it is told
                found = None
            answers.send_bytes(pickle.dumps(found, pickle.HIGHEST_PROTOCOL))
    finally:
        database.close()


if __name__ == "__main__":
    sys.exit(piping.serve(serve, 100_000))
