"""Reading on in a growing file: every whole line once, whatever happens to the file."""

import errno
import os
import random
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionlib.journal import tail
from sessionlib.journal.tail import Cursor, NotReadableError, read_on


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with two lines."""
    made = tmp_path / "a.jsonl"
    made.write_bytes(b"one\ntwo\n")
    return made


def all_of(path: Path, cursor: Cursor | None = None, **bounds: int) -> tuple[list[bytes], Cursor]:
    """Read until there is no more; return all lines and the last cursor."""
    lines: list[bytes] = []
    while True:
        portion = read_on(path, cursor, **bounds)
        lines += portion.lines
        cursor = portion.cursor
        if portion.is_all:
            return lines, cursor


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def test_it_goes_on_where_it_ended(path: Path) -> None:
    """What was read is not read again, and without anything new there is nothing."""
    lines, cursor = all_of(path)
    assert lines == [b"one", b"two"]
    assert all_of(path, cursor) == ([], cursor)
    append(path, b"three\n")
    assert all_of(path, cursor)[0] == [b"three"]


def test_half_a_line_waits_for_its_end(path: Path) -> None:
    """At every byte of the last line."""
    _, cursor = all_of(path)
    for byte in b'{"a": 1}':
        append(path, bytes([byte]))
        portion = read_on(path, cursor)
        assert (portion.lines, portion.cursor, portion.is_all) == ((), cursor, True)
    append(path, b"\n")
    assert all_of(path, cursor)[0] == [b'{"a": 1}']


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"new\n")
    other.replace(path)


def rewritten(path: Path) -> None:
    path.write_bytes(b"new\nlonger than before\n")


def cut(path: Path) -> None:
    os.truncate(path, 4)


@pytest.mark.parametrize(
    ("change", "lines"),
    [(replaced, [b"new"]), (rewritten, [b"new", b"longer than before"]), (cut, [b"one"])],
)
def test_another_content_is_read_from_its_beginning(
    path: Path, change: Callable[[Path], None], lines: list[bytes]
) -> None:
    """A file that was replaced, rewritten or cut says all it has to say."""
    _, cursor = all_of(path)
    change(path)
    portion = read_on(path, cursor)
    assert (list(portion.lines), portion.is_anew) == (lines, True)


def test_a_rewrite_of_the_same_length_is_noticed(path: Path) -> None:
    """Size and file are the same; the bytes before the cursor are not."""
    _, cursor = all_of(path)
    with path.open("r+b") as file:
        file.write(b"ONE\nTWO\n")
    assert list(read_on(path, cursor).lines) == [b"ONE", b"TWO"]


def test_portions_are_bounded(path: Path) -> None:
    """A long file comes in pieces, each of whole lines, and nothing twice."""
    lines = [b"%05d" % number * 20 for number in range(3000)]
    path.write_bytes(b"\n".join(lines) + b"\n")
    first = read_on(path, None, most=10_000)
    assert 50 < len(first.lines) < 250
    assert not first.is_all
    assert all_of(path, most=10_000)[0] == lines


def test_a_line_beyond_measure_is_passed_over(path: Path) -> None:
    """Its neighbours are read, it is counted, and its memory is never taken."""
    append(path, b"x" * 50_000 + b"\n" + b"after\n")
    portion = read_on(path, None, most=1000, longest=20_000)
    found, passed_over = list(portion.lines), portion.passed_over
    while not portion.is_all:
        portion = read_on(path, portion.cursor, most=1000, longest=20_000)
        found += portion.lines
        passed_over += portion.passed_over
    assert (found, passed_over) == ([b"one", b"two", b"after"], 1)


def test_a_long_line_that_has_no_end_yet_waits(path: Path) -> None:
    """It may still be written; until it ends nothing is decided about it."""
    _, cursor = all_of(path)
    append(path, b"x" * 50_000)
    assert read_on(path, cursor, most=1000, longest=20_000).cursor == cursor
    append(path, b"\nafter\n")
    assert all_of(path, cursor, most=1000, longest=20_000)[0] == [b"after"]


def test_what_is_no_file_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FIFO, a folder, a socket, a device and a link; none is waited for or followed."""
    (tmp_path / "there").write_bytes(b"secret\n")
    (tmp_path / "link").symlink_to(tmp_path / "there")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        # The path of a socket is short.
        monkeypatch.chdir(tmp_path)
        listener.bind("socket")
        for name in ("link", "folder", "fifo", "socket"):
            with pytest.raises(NotReadableError):
                read_on(tmp_path / name, None)
    with pytest.raises(NotReadableError):
        read_on(Path("/dev/zero"), None)


def test_a_file_that_is_gone_says_so(path: Path) -> None:
    """So that its reader can stop looking."""
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read_on(path, None)


def test_a_refusal_is_passed_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read now may be read later."""

    def refuse(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "read", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        read_on(path, None)


_LINES = st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=12)


@given(_LINES, st.integers(), st.integers(1, 100))
def test_every_line_comes_once(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], seed: int, most: int
) -> None:
    """Written in pieces that end anywhere, and read in between: the lines are the lines."""
    path = tmp_path_factory.mktemp("tail") / "a"
    path.touch()
    content = b"".join(line + b"\n" for line in lines)
    chance = random.Random(seed)
    found: list[bytes] = []
    cursor = None
    while content:
        size = chance.randint(1, 20)
        append(path, content[:size])
        content = content[size:]
        more, cursor = all_of(path, cursor, most=most)
        found += more
    assert found == lines
    assert all_of(path)[0] == lines


def test_a_cursor_checks_no_more_than_it_says(path: Path) -> None:
    """A change further back than that is not seen; it never happens to a file that only grows."""
    path.write_bytes(b"a" * 5000 + b"\n")
    _, cursor = all_of(path)
    assert len(cursor.check) == 64
    assert cursor.offset == 5001
    assert tail.CHECKED < 5000


@pytest.mark.parametrize("at_read", range(6))
@pytest.mark.parametrize("new", [b'{"new": %04d}\n', b'{"n": %d}\n'])
@pytest.mark.parametrize("is_known", [False, True])
def test_a_file_rewritten_while_it_is_read_loses_no_line(
    path: Path, monkeypatch: pytest.MonkeyPatch, at_read: int, new: bytes, is_known: bool
) -> None:
    """In place, by longer and shorter lines, before any of the calls that read it, at first or later on."""
    old = b"".join(b'{"old": %02d}\n' % number for number in range(40))
    path.write_bytes(old[: len(old) // 2])
    cursor = all_of(path)[1] if is_known else None
    path.write_bytes(old)
    lines = [new % number for number in range(60)]
    real = {name: getattr(os, name) for name in ("read", "pread")}
    calls = [0]

    def reading(name: str) -> Callable[..., bytes]:
        def call(*given: int) -> bytes:
            if calls[0] == at_read:
                path.write_bytes(b"".join(lines))
            calls[0] += 1
            return bytes(real[name](*given))

        return call

    with monkeypatch.context() as during:
        for name in real:
            during.setattr(os, name, reading(name))
        first = read_on(path, cursor, most=200)
    if calls[0] <= at_read:
        path.write_bytes(b"".join(lines))
    found = [*first.lines, *all_of(path, first.cursor)[0]]
    assert {line.rstrip(b"\n") for line in lines} <= set(found)
