"""Reading on in a file that grows by lines: whole lines only, each once, from where the last look ended.

A cursor says how far a file was read and by what to know it again: the file itself and the bytes before that
place. A file that was cut, rewritten or replaced is read from its beginning; what reads the lines knows them
by their own ids, so lines that come twice do no harm, and none is ever left out.
"""

import errno
import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

CHECKED = 1024
"""Bytes before the cursor that must be what they were."""

PORTION = 4 * 1024 * 1024
"""Bytes read at once, as far as lines end within them."""

LONGEST = 16 * 1024 * 1024
"""Bytes of a line that is read; a longer one is passed over. A line holds one message, or one result of
a tool, and models take requests of 32 MB at most, which hold many of them."""

_CHUNK = 1024 * 1024


class NotReadableError(OSError):
    """What stands there is no regular file of its own."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a file was read.

    Attributes:
        dev: Its device, signed 64 bit.
        inode: Its inode, signed 64 bit.
        offset: Bytes read, up to the end of a line.
        check: SHA-256 of the last `CHECKED` bytes before the offset, in hexadecimal digits.
    """

    dev: int
    inode: int
    offset: int
    check: str


@dataclass(frozen=True, slots=True)
class Portion:
    """What one look at a file brought.

    Attributes:
        lines: Whole lines without their ends, in order.
        cursor: Where the next look goes on.
        is_anew: Whether the file was read from its beginning although it had been read before.
        is_all: Whether there is no further whole line yet.
        passed_over: Lines that were too long.
    """

    lines: tuple[bytes, ...]
    cursor: Cursor
    is_anew: bool
    is_all: bool
    passed_over: int = 0


def read_on(path: Path, cursor: Cursor | None, *, most: int = PORTION, longest: int = LONGEST) -> Portion:
    """Read the lines that were added, at most about so many bytes of them.

    Blocks for reading a file; never for a FIFO or a device, which are refused.

    Args:
        path: The file; a link in its place is refused.
        cursor: Where the last look ended; None at the first.
        most: Bytes, unless one line is longer.
        longest: Bytes of the longest line that is read.

    Raises:
        FileNotFoundError: It is gone.
        NotReadableError: It is a link, or no regular file.
        OSError: It cannot be read.
    """
    with _opened(path) as file:
        seen = os.fstat(file.fileno())
        if not stat.S_ISREG(seen.st_mode):
            raise NotReadableError(errno.EINVAL, "no regular file", str(path))
        identity = _signed(seen.st_dev), _signed(seen.st_ino)
        before = None if cursor is None else _known(file, cursor, identity, seen.st_size)
        is_anew = cursor is not None and before is None
        start = 0 if cursor is None or before is None else cursor.offset
        found = _lines(file, start, before or b"", most, longest)
        known = before or b""
        if not file.begins(start - len(known), known + found.head):
            # Rewritten under our eyes: what we read is of neither file, and its own ids sort out the lines.
            found = _lines(file, 0, b"", most, longest)
            is_anew = cursor is not None
        made = Cursor(*identity, found.end, hashlib.sha256(found.tail).hexdigest())
        return Portion(tuple(found.lines), made, is_anew, found.is_all, found.passed_over)


class _File:
    """A file read without buffers, so that offsets are the file's own."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def seek(self, offset: int) -> None:
        os.lseek(self._descriptor, offset, os.SEEK_SET)

    def read(self, count: int) -> bytes:
        return os.read(self._descriptor, count)

    def at(self, offset: int, count: int) -> bytes:
        return os.pread(self._descriptor, count, offset)

    def begins(self, offset: int, content: bytes) -> bool:
        """Tell whether this content, which was read there, stands there still."""
        return self.at(offset, len(content)) == content


def _opened(path: Path) -> _File:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        return _File(os.open(path, flags))
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENODEV):
            raise NotReadableError(error.errno, "no regular file", str(path)) from error
        raise


def _known(file: _File, cursor: Cursor, identity: tuple[int, int], size: int) -> bytes | None:
    """Return the bytes before the cursor, if this is its file and they stand there still; else None."""
    if (cursor.dev, cursor.inode) != identity or size < cursor.offset:
        return None
    length = min(cursor.offset, CHECKED)
    before = file.at(cursor.offset - length, length)
    return before if hashlib.sha256(before).hexdigest() == cursor.check else None


@dataclass(slots=True)
class _Found:
    """Whole lines of a file.

    The cursor's check is made of what was read, never of what stands there afterwards: who rewrites the file
    in between would be vouched for.

    Attributes:
        end: Where the last line ends.
        tail: The last `CHECKED` bytes before that.
        lines: Without their ends.
        head: The first bytes that were read.
        passed_over: How many lines were too long.
        is_all: Whether there is no further whole line yet.
    """

    end: int
    tail: bytes
    lines: list[bytes] = field(default_factory=list)
    head: bytes = b""
    passed_over: int = 0
    is_all: bool = False


def _lines(file: _File, start: int, before: bytes, most: int, longest: int) -> _Found:
    """Read whole lines from a place, behind the bytes `before`.

    What a chunk ends with is not kept: where the line ends must be found first. Then it is read again, in one
    piece, unless it is too long.
    """
    found = _Found(start, before)
    file.seek(start)
    position, recent = start, before
    while found.end - start < most:
        chunk = file.read(min(_CHUNK, max(most, 1)))
        if not chunk:
            found.is_all = True
            return found
        found.head = found.head or chunk[:CHECKED]
        begin, position = position, position + len(chunk)
        is_there = _take(file, found, begin, chunk, longest)
        if found.end > begin:
            found.tail = _last(recent, chunk, found.end - begin)
        if not is_there:
            return found
        recent = _last(recent, chunk, len(chunk))
    return found


def _last(before: bytes, chunk: bytes, length: int) -> bytes:
    """Return the last `CHECKED` bytes up to a place in a chunk, which may begin before it."""
    return (before + chunk[:length] if length < CHECKED else chunk[length - CHECKED : length])[-CHECKED:]


def _take(file: _File, found: _Found, begin: int, chunk: bytes, longest: int) -> bool:
    """Add the lines that end within a chunk; tell whether they are still there to be read in one piece."""
    *whole, _ = chunk.split(b"\n")
    for piece in whole:
        ends = begin + len(piece)
        length = ends - found.end
        if length > longest:
            found.passed_over += 1
        elif length == len(piece):
            found.lines.append(piece)
        else:
            line = file.at(found.end, length)
            if len(line) < length:
                found.is_all = True
                return False  # it was cut meanwhile
            found.lines.append(line)
        found.end = begin = ends + 1
    return True


def _signed(number: int) -> int:
    """Return the number as a signed 64-bit one, as databases hold them."""
    return number - (1 << 64) if number >= 1 << 63 else number
