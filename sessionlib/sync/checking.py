"""Compare everything without a lock, on a second core where there is one; a rebuild mends as it goes.

The second process is ``python -P -m sessionlib.sync.checking``. On its standard input come the database and
then one portion after the other, pickled; it answers each on its standard output with what it found, pickled,
or with None where that failed. It ends with its input.
"""

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from threading import Lock, Thread
from typing import NamedTuple

from sessionlib.db.engine import Database
from sessionlib.errors import DamagedValueError, DatabaseError, RowRejectedError
from sessionlib.models.base import utc_now
from sessionlib.sync import anew, piping
from sessionlib.sync.anew import Portion, Readings
from sessionlib.sync.mirror import Mirror
from sessionlib.sync.places import Place, stored_name
from sessionlib.sync.renewing import Renewed
from sessionlib.sync.surveying import Survey

_WORTH_STARTING = 1_500
"""Sessions from which on a second process, which takes half a second to start, is worth it."""
_LAST_WORD = 2.0
"""Seconds to wait for its end before it is killed."""


class Suspect(NamedTuple):
    """A session that seems to differ: where its copies may lie, and its folder's name."""

    places: tuple[Place, ...]
    slug: str


class Found(NamedTuple):
    """What was found of one portion.

    Attributes:
        suspects: The sessions that seem to differ.
        torn: Those whose file looks like half of a write.
        unreadable: (path, reason) of files that cannot be read or used.
        early: How suspects were read, for who renews them; not of all where they are large.
    """

    suspects: list[str]
    torn: list[str]
    unreadable: list[tuple[str, str]]
    early: Readings


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


def check(database: Database, portion: Portion, *, keep: bool = False) -> Found:
    """Compare some sessions without a lock.

    Args:
        database: With the current schema.
        portion: Which.
        keep: Whether to return how those were read that seem to differ.

    Raises:
        DatabaseError: The database does not answer.
    """
    found = Found([], [], [], {})
    left = portion
    while left.slugs:
        readings = anew.read(left)
        part = left._replace(slugs=tuple(readings))
        left = left._replace(slugs=left.slugs[len(readings) :])
        found.unreadable.extend(unread(part, readings))
        torn = anew.torn(readings)
        suspects = _differing(database, part, readings, found.unreadable).difference(torn)
        # Those of the first look alone: of large files more would only take memory.
        if keep and (not found.early or not left.slugs):
            found.early.update((slug, readings[slug]) for slug in part.slugs if slug in suspects)
        found.torn.extend(torn)
        found.suspects.extend(sorted(suspects))
    return found


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


def unread(portion: Portion, readings: Readings) -> list[tuple[str, str]]:
    """Return (path, reason) of the copies that could not be read or used."""
    return [
        (stored_name(str(place.path / slug)), problem)
        for place, slug, problem in anew.unread(portion, readings)
    ]


def checked(
    database: Database,
    survey: Survey,
    progress: Callable[[int, int], None],
    mirror: Mirror | None = None,
) -> Checked:
    """Compare all sessions of a survey; blocks.

    Args:
        database: With the current schema.
        survey: Which.
        progress: Told, by this thread, how many sessions of how many are done.
        mirror: Renews what seems to differ; without one nothing is written.

    Raises:
        DatabaseError: The database does not answer.
    """
    work = _Work(survey, progress, mirror)
    is_large = survey.total >= _WORTH_STARTING and _has_two_cores()
    helper = _Helper(database, work) if is_large else None
    try:
        for portion in work.portions():
            work.add(portion, check(database, portion, keep=work.mends))
            work.tell()
    except BaseException:
        work.stop()
        raise
    finally:
        if helper is not None:
            helper.end()
    for portion in work.given_back():
        work.add(portion, check(database, portion, keep=work.mends))
    work.tell()
    # In one order, whoever compared them.
    work.result.suspects.sort(key=lambda suspect: (suspect.places[0].path, suspect.slug))
    return work.result


class _Work:
    """The portions that are left, and what was found; shared by two threads.

    Attributes:
        mends: Whether what seems to differ is renewed at once.
    """

    def __init__(self, survey: Survey, progress: Callable[[int, int], None], mirror: Mirror | None) -> None:
        self._total = survey.total
        self._progress = progress
        self._mirror = mirror
        self._left = survey.portions()
        self._lock = Lock()
        self._back: list[Portion] = []
        self.mends = mirror is not None
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
        """Note what was found of a portion; renew what seems to differ, if that is wanted.

        Raises:
            DatabaseError: What differs cannot be written.
        """
        renewed, suspects = Renewed(), [*found.suspects, *found.torn]
        if self._mirror is not None:
            renewed, suspects = _renewed(self._mirror, portion, found), found.torn
        with self._lock:
            self.result.sessions += len(portion.slugs)
            self.result.suspects += [Suspect(portion.places, slug) for slug in suspects]
            self.result.unreadable += found.unreadable
            self.result.renewed += renewed

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


def _renewed(mirror: Mirror, portion: Portion, found: Found) -> Renewed:
    early = portion._replace(slugs=tuple(found.early))
    late = portion._replace(slugs=tuple(slug for slug in found.suspects if slug not in found.early))
    return mirror.renew(early, early=found.early) + mirror.renew(late)


class _Helper:
    """A second process that compares along, and the thread that hands it its work."""

    def __init__(self, database: Database, work: _Work) -> None:
        self._work = work
        self._task = database.url.render_as_string(hide_password=False), database.pgbouncer, work.mends
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = Thread(target=self._follow, name="checking", daemon=True)
        # No second process, or no thread, for this user: then this one does it all.
        with contextlib.suppress(OSError, RuntimeError):
            # A session of its own: what a terminal sends is not for it. -P: not what lies in this folder.
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [sys.executable, "-P", "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._thread.start()

    def end(self) -> None:
        """Let it finish what it has begun, and end it."""
        if self._thread.ident is not None:
            self._thread.join()
        if self._process is None:
            return
        try:
            self._process.wait(_LAST_WORD)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _follow(self) -> None:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return
        with process.stdin, process.stdout:
            requests = Connection(os.dup(process.stdin.fileno()), readable=False)
            answers = Connection(os.dup(process.stdout.fileno()), writable=False)
        with requests, answers, contextlib.suppress(EOFError, OSError):
            requests.send_bytes(pickle.dumps(self._task))
            answers.recv_bytes()
            self._hand_out(requests, answers)

    def _hand_out(self, requests: Connection, answers: Connection) -> None:
        for portion in self._work.portions():
            is_done = False
            try:
                requests.send_bytes(pickle.dumps(portion, pickle.HIGHEST_PROTOCOL))
                # Pickles are safe here: both ends are this program, and nobody else holds these pipes.
                answer = pickle.loads(answers.recv_bytes())  # noqa: S301
                if answer is not None:
                    self._work.add(portion, Found(*answer))
                    is_done = True
            except DatabaseError:
                continue  # the first process meets it where it is told
            finally:
                if not is_done:
                    self._work.give_back(portion)


def _has_two_cores() -> bool:
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return len(mine) > 1


def serve(requests: Connection, answers: Connection) -> None:
    """Be the second process: compare what is asked for until the other side closes."""
    url, pgbouncer, keep = pickle.loads(requests.recv_bytes())  # noqa: S301 - from who started us
    database = Database(url, pool_size=1, pgbouncer=pgbouncer)
    # Ready: until then no portion waits here.
    answers.send_bytes(b"")
    try:
        while True:
            portion = pickle.loads(requests.recv_bytes())  # noqa: S301 - see above
            found: tuple[object, ...] | None
            try:
                # Plain: the class is another one here, where this module is the program.
                found = tuple(check(database, portion, keep=keep))
            except Exception:  # noqa: BLE001 - who asked does it itself, and meets the error where it is told
                found = None
            answers.send_bytes(pickle.dumps(found, pickle.HIGHEST_PROTOCOL))
    finally:
        database.close()


if __name__ == "__main__":
    sys.exit(piping.serve(serve, 100_000))
