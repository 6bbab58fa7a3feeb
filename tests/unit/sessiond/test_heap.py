"""Memory that was freed goes back to the system."""

import subprocess
import sys

import pytest

_LARGE = """
import sys
from sessiond import heap
from tests.hostile import memory

if not heap.give_back():
    sys.exit(77)
before = memory.rss()
for size in (8 << 20, 1 << 20, 500_000):
    # What lies behind a freed block keeps a heap from shrinking.
    blocks = [bytes(size) for _ in range(40_000_000 // size)]
    del blocks[::2], blocks[:-1]
    blocks.clear()
kept = [bytes(300_000) for _ in range(100)]
del kept[:-1]
print((memory.rss() - before) >> 20)
"""

_SMALL = """
import sys
from sessiond import heap
from tests.hostile import memory

if not heap.give_back():
    sys.exit(77)
blocks = [bytes(50_000) for _ in range(2_000)]
kept = blocks[::20]
del blocks
before = memory.rss()
assert heap.trim()
print((before - memory.rss()) >> 20)
"""


def megabytes(probe: str) -> int:
    """Run a probe in a process of its own, whose heap nobody has used; return what it says."""
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=False, timeout=50
    )
    if done.returncode == 77:
        pytest.skip("another C library than glibc")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_large_blocks_are_not_kept() -> None:
    """A process that has held many large blocks for a moment is hardly larger afterwards."""
    assert megabytes(_LARGE) <= 3


def test_smaller_blocks_go_back_when_told_to() -> None:
    """What is free between blocks that are still in use is the system's again."""
    assert megabytes(_SMALL) >= 50
