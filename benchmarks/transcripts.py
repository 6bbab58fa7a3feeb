"""Reading transcripts into facts: real ones of four client versions, over and over, from files in memory."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import orjson

from benchmarks import corpus
from benchmarks.cases import Figure, Options, Row
from sessionlib.journal import tail
from sessionlib.journal.claude_code import layout
from sessionlib.journal.claude_code.records import Transcript

NAME = "transcripts"
GOAL = "parser ≥ 25,000 messages a second"

_FIXTURES = Path(__file__).parent.parent / "tests" / "fixtures" / "claude_code" / "transcripts"
_LEAST = 25_000
_MESSAGES = frozenset({"user", "assistant"})


def run(options: Options) -> Iterator[Row]:
    """Measure the reader and the parser together, in processor time."""
    lines = b"".join(found.path.read_bytes() for found in _found())
    with tempfile.TemporaryDirectory(dir=corpus.memory()) as folder:
        path = Path(folder) / "long.jsonl"
        path.write_bytes(lines * (2 if options.quick else 100))
        size = path.stat().st_size
        began = time.process_time()
        messages, facts = _read(path)
        seconds = time.process_time() - began
    figures: dict[str, Figure] = {
        "messages /s": messages / seconds,
        "MB/s": size / seconds / 1e6,
        "facts a message": facts / messages,
    }
    reached = None if options.quick else messages / seconds >= _LEAST
    yield Row(f"transcripts, {size / 1e6:.0f} MB", figures, reached=reached)


def _found() -> Iterator[layout.TranscriptFile]:
    for version in sorted(_FIXTURES.iterdir()):
        yield from (found for found in layout.walk(version) if not found.is_meta)


def _read(path: Path) -> tuple[int, int]:
    """Read a file to its end; return how many messages it had and how many facts were found."""
    transcript = Transcript("benchmark")
    cursor = None
    messages = facts = 0
    while True:
        portion = tail.read_on(path, cursor)
        for line in portion.lines:
            record = orjson.loads(line)
            messages += record.get("type") in _MESSAGES
            facts += sum(1 for _ in transcript.facts_of(record, len(line)))
        cursor = portion.cursor
        if portion.is_all:
            return messages, facts
