"""The hook spool: one file a delivery, in the order they were made.

`sessionlib.hooks.entry` writes it and cannot import this; both hold the same names and limits.
"""

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sessionlib.models.base import utc_now

NEW, BESIDE, DEAD = "new", "tmp", "dead"
FULL_MARK = "full"
DROPPED_MARK = "dropped"
MOST_FILES, MOST_BYTES = 50_000, 512 * 1024 * 1024
"""What may wait in the spool."""
MOST_BURIED = 1_000
"""How many of the deliveries that were put aside are kept: they are examples, and each was told of."""

_HEADER_MOST = 64 * 1024
_SIGNS = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}
_SIGN = re.compile(r"\\[\\nr]")
_SPELLED = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STALE = timedelta(hours=1)
"""After this what was left half written belongs to a process that is gone."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One call of the hook.

    Attributes:
        name: The file's name, which sorts by time.
        client: The coding client that called.
        event: What it named the event on the command line; may be empty.
        at: When the hook ran.
        size: Bytes of the whole input.
        body: What is kept of it.
        cut: Where bytes are missing in the body; None when it is whole.
        context: Variables of the hook's environment.
    """

    name: str
    client: str
    event: str
    at: datetime
    size: int
    body: bytes
    cut: int | None = None
    context: Mapping[str, str] = field(default_factory=dict)


class BadDeliveryError(ValueError):
    """A file in the spool that the hook has not written."""


class SpoolFullError(Exception):
    """No more may wait in the spool; a daemon that reads it makes room."""


class Spool:
    """The folders of a spool.

    Args:
        folder: Where it is; need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def inbox(self) -> Path:
        """Where finished deliveries lie."""
        return self.folder / NEW

    def prepare(self) -> None:
        """Make the folders, for their owner alone.

        Raises:
            OSError: They cannot be made.
        """
        for name in (NEW, BESIDE):
            (self.folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, client: str, event: str, body: bytes, at: datetime | None = None) -> None:
        """Add a delivery that no hook has made; blocks for the disk, and any thread may call it.

        Args:
            client: The coding client that it is of.
            event: What it tells.
            body: All of it; it is never cut.
            at: When it was made; now for None.

        Raises:
            SpoolFullError: Nothing was written.
            OSError: It cannot be written; nothing is left of it.
        """
        self.prepare()
        waiting, weight = self.waiting()
        if waiting >= MOST_FILES or weight + len(body) >= MOST_BYTES:
            raise SpoolFullError(f"{waiting} deliveries with {weight} bytes wait")
        number = time.time_ns() if at is None else (at - _EPOCH) // timedelta(microseconds=1) * 1000
        fields = {"client": client, "event": event, "at": str(number), "size": str(len(body))}
        content = _header(fields) + b"\n" + body
        name = f"{number:020d}.{os.getpid()}.{os.urandom(4).hex()},S={len(content)}"
        beside = self.folder / BESIDE / name
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(beside, flags, 0o600), "wb") as file:
                file.write(content)
            beside.rename(self.inbox / name)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise

    def names(self, most: int) -> list[str]:
        """Return the oldest deliveries' names, at most so many, in order; none when there is no spool."""
        try:
            found = os.listdir(self.inbox)  # noqa: PTH208 - names alone
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for name in found if not name.startswith("."))[:most]

    def waiting(self) -> tuple[int, int]:
        """Return how many deliveries wait and their bytes."""
        names = self.names(10**9)
        return len(names), sum(map(_weight, names))

    def oldest(self) -> datetime | None:
        """Return when the oldest delivery that waits was made; None when none waits."""
        first = self.names(1)
        number = first[0].partition(".")[0] if first else ""
        return datetime.fromtimestamp(int(number) / 1e9, UTC) if number.isdecimal() else None

    def buried(self) -> list[str]:
        """Return the names of the deliveries that were put aside, in order."""
        try:
            return sorted(os.listdir(self.folder / DEAD))  # noqa: PTH208 - names alone
        except (FileNotFoundError, NotADirectoryError):
            return []

    def read(self, name: str, *, buried: bool = False) -> Delivery:
        """Read one delivery, or one that was put aside.

        Raises:
            FileNotFoundError: It is gone.
            BadDeliveryError: It is none.
            OSError: It cannot be read.
        """
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(self.folder / (DEAD if buried else NEW) / name, flags), "rb") as file:
            content = file.read()
        header, blank, body = content.partition(b"\n\n")
        if not blank or len(header) > _HEADER_MOST:
            raise BadDeliveryError("it has no header")
        return _delivery(name, _fields(header), body)

    def done(self, name: str) -> None:
        """Remove a delivery whose rows are committed.

        Raises:
            OSError: It cannot be removed.
        """
        (self.inbox / name).unlink(missing_ok=True)

    def bury(self, name: str) -> None:
        """Put aside a delivery that cannot be used, for people to look at; of many the oldest go."""
        grave = self.folder / DEAD
        grave.mkdir(mode=0o700, exist_ok=True)
        (self.inbox / name).replace(grave / name)
        for old in self.buried()[:-MOST_BURIED]:
            with suppress(OSError):  # a folder that somebody put there is not ours to empty
                (grave / old).unlink()

    def drop(self, name: str) -> None:
        """Remove a delivery of which the hook could keep nothing but the header, and count it as lost.

        Raises:
            OSError: It cannot be removed, and is not counted.
        """
        self.done(name)
        with suppress(OSError), (self.folder / DROPPED_MARK).open("ab") as file:  # the disk may be full
            file.write(b".")

    def relieve(self) -> None:
        """Take the mark away that the spool is full, and what was left half written long ago."""
        (self.folder / FULL_MARK).unlink(missing_ok=True)
        for path in self._half_written():
            with suppress(FileNotFoundError):
                written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                if utc_now() - written > _STALE:
                    path.unlink()

    def _half_written(self) -> Iterator[Path]:
        beside = self.folder / BESIDE
        return iter(list(beside.iterdir()) if beside.is_dir() else [])

    def dropped(self) -> int:
        """Return how many deliveries were lost because the spool was full."""
        try:
            return (self.folder / DROPPED_MARK).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return 0


def _weight(name: str) -> int:
    size = name.rpartition(",S=")[2]
    return int(size) if size.isdigit() else 0


def _header(fields: Mapping[str, str]) -> bytes:
    """Return a header as the hook writes it: what would end its line is spelled out."""
    lines = (f"{name}: {value.translate(_SPELLED)}\n" for name, value in fields.items())
    return "".join(lines).encode("utf-8", "surrogateescape")


def _fields(header: bytes) -> dict[str, str]:
    fields = {}
    for line in header.decode("utf-8", "replace").split("\n"):
        name, colon, value = line.partition(": ")
        if not colon:
            raise BadDeliveryError("its header cannot be read")
        # In one pass: what stands behind a backslash that stands for itself is no sign.
        fields[name] = _SIGN.sub(lambda found: _SIGNS[found[0]], value)
    return fields


def _delivery(name: str, fields: dict[str, str], body: bytes) -> Delivery:
    try:
        at = datetime.fromtimestamp(int(fields.pop("at")) / 1e9, UTC)
        client, event = fields.pop("client"), fields.pop("event")
        size, cut = int(fields.pop("size")), fields.pop("cut", None)
        fields.pop("pid", None)
        return Delivery(name, client, event, at, size, body, None if cut is None else int(cut), fields)
    except (KeyError, ValueError, OverflowError, OSError) as error:
        raise BadDeliveryError("its header cannot be read") from error
