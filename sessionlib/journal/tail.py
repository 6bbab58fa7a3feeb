"""Reading on in a file that grows by lines: whole lines only, each once, from where the last look ended.

A cursor says how far a file was read and by what to know it again: the file itself and the bytes before that
place. A file that was cut, rewritten or replaced is read from its beginning; what reads the lines knows them
by their own ids, so lines that come twice do no harm, and none is ever left out.
"""

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
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
        goes_on = cursor is not None and _is_same(file, cursor, identity, seen.st_size)
        start = cursor.offset if goes_on and cursor is not None else 0
        file.seek(start)
        lines, end, passed_over, is_all = _lines(file, start, most, longest)
        made = Cursor(*identity, end, _check(file, end))
        return Portion(tuple(lines), made, cursor is not None and not goes_on, is_all, passed_over)


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


def _opened(path: Path) -> _File:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        return _File(os.open(path, flags))
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENODEV):
            raise NotReadableError(error.errno, "no regular file", str(path)) from error
        raise


def _is_same(file: _File, cursor: Cursor, identity: tuple[int, int], size: int) -> bool:
    """Tell whether this is the file of the cursor, and what was read of it still stands there."""
    if (cursor.dev, cursor.inode) != identity or size < cursor.offset:
        return False
    return _check(file, cursor.offset) == cursor.check


def _check(file: _File, offset: int) -> str:
    length = min(offset, CHECKED)
    return hashlib.sha256(file.at(offset - length, length)).hexdigest()


def _lines(file: _File, start: int, most: int, longest: int) -> tuple[list[bytes], int, int, bool]:
    """Return whole lines, where the last one ends, how many were passed over, and whether these are all.

    What a chunk ends with is not kept: where the line ends must be found first. Then it is read again, in one
    piece, unless it is too long.
    """
    lines: list[bytes] = []
    end = position = start
    passed_over = 0
    while end - start < most:
        chunk = file.read(min(_CHUNK, max(most, 1)))
        if not chunk:
            return lines, end, passed_over, True
        before, position = position, position + len(chunk)
        *whole, _ = chunk.split(b"\n")
        for piece in whole:
            ends = before + len(piece)
            length = ends - end
            if length > longest:
                passed_over += 1
            elif length == len(piece):
                lines.append(piece)
            else:
                line = file.at(end, length)
                if len(line) < length:
                    return lines, end, passed_over, True  # it was cut meanwhile
                lines.append(line)
            end = before = ends + 1
    return lines, end, passed_over, False


def _signed(number: int) -> int:
    """Return the number as a signed 64-bit one, as databases hold them."""
    return number - (1 << 64) if number >= 1 << 63 else number
