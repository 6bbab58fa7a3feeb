"""Lines that are long, and lines that are too long: what is held of them in memory, and what comes after."""

import tracemalloc
from pathlib import Path

import pytest

from sessionlib.journal.tail import LONGEST, read_on

MEGABYTE = 1024 * 1024


@pytest.mark.parametrize("size", [10 * MEGABYTE, LONGEST, LONGEST + 1, 60 * MEGABYTE])
def test_a_long_line_is_held_once_and_one_too_long_never(tmp_path: Path, size: int) -> None:
    """The lines around it are read in either case, and one that is passed over is counted."""
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(b"one\n" + b"x" * size + b"\ntwo\n")
    tracemalloc.start()
    try:
        lines, passed_over, cursor = [], 0, None
        while True:
            portion = read_on(path, cursor, most=256 * 1024)
            lines += [len(line) for line in portion.lines]
            passed_over += portion.passed_over
            cursor = portion.cursor
            if portion.is_all:
                break
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    is_read = size <= LONGEST
    assert lines == [3, *([size] if is_read else []), 3]
    assert passed_over == int(not is_read)
    assert peak < (size if is_read else 0) + MEGABYTE


def test_a_long_line_without_an_end_yet_is_not_held(tmp_path: Path) -> None:
    """Half a line waits in the file, not in memory."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\n" + b"x" * (8 * MEGABYTE))
    tracemalloc.start()
    try:
        portion = read_on(path, None, most=256 * 1024)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (portion.lines, portion.cursor.offset, portion.is_all) == ((b"one",), 4, True)
    assert peak < MEGABYTE
