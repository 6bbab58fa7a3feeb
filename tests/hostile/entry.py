"""One hostile file of the corpus: its bytes, and what becomes of a session that holds it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import builders

STATE, PLAN, RUN = "state.json", "plan.json", "research/soil/state.json"

Document = builders.Document


@dataclass(frozen=True)
class Entry:
    """One file.

    Attributes:
        name: Unique; also the name of its session folder in tests.
        make: Makes the bytes; large ones are not kept.
        refused: A part of the sentence that says what is wrong; None when the file is taken.
        warned: Places (JSON paths, or the names of further inputs) that a warning names.
        file: Which file of the session it is.
        length: The file is made so long, with a hole behind the bytes.
    """

    name: str
    make: Callable[[], bytes]
    refused: str | None = None
    warned: tuple[str, ...] = ()
    file: str = STATE
    length: int = 0

    @property
    def fails_session(self) -> bool:
        """Whether the session keeps its last good row; a broken plan or research run is only warned of."""
        return self.refused is not None and self.file == STATE

    def write(self, folder: Path) -> None:
        """Put the file into a session folder, renamed into place."""
        builders.write_json(folder / self.file, b"")
        temp = folder / "spoilt.new"
        with temp.open("wb") as out:
            out.write(self.make())
            out.truncate(max(self.length, out.tell()))
        temp.replace(folder / self.file)


def refused(name: str, data: bytes | str, words: str, *, file: str = STATE) -> Entry:
    """Return an entry that is refused with these words."""
    made = data.encode() if isinstance(data, str) else data
    return Entry(name, lambda: made, refused=words, file=file)


def taken(name: str, data: bytes | str | Document, *warned: str, file: str = STATE) -> Entry:
    """Return an entry that is taken, with warnings about these places."""
    made = data if isinstance(data, bytes) else text_of(data).encode("utf-8", "surrogatepass")
    return Entry(name, lambda: made, warned=warned, file=file)


def text_of(document: Document | str) -> str:
    """Return a document as text, with the characters themselves."""
    return document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)


def with_field(document: Document, path: str, value: Any) -> Document:
    """Return a copy of a document with another value at a dotted path; ``0`` is a list's first entry."""
    changed: Document = json.loads(json.dumps(document))
    holder: Any = changed
    *way, last = path.split(".")
    for step in way:
        holder = holder[int(step)] if isinstance(holder, list) else holder.setdefault(step, {})
    if isinstance(holder, list):
        holder[int(last)] = value
    else:
        holder[last] = value
    return changed
