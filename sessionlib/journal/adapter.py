"""What a coding client's adapter must tell: where its journals lie, and which facts they hold.

Nothing behind this knows one client from another. A client that keeps its journals otherwise gets an adapter
of its own, and `ADAPTERS` an entry.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from sessionlib.journal.facts import Fact
from sessionlib.journal.spool import Delivery


class BadPayloadError(ValueError):
    """A delivery that says nothing about any conversation."""


class JournalFile(NamedTuple):
    """A journal that grows by lines, and the small file beside it.

    Attributes:
        path: Where it is.
        native_id: The conversation whose it is; None where only its lines tell.
        agent: The native id of the agent whose it is; '' for the conversation's own.
        beside: A small file, which need not be there, that tells more of the agent.
    """

    path: Path
    native_id: str | None
    agent: str
    beside: Path | None = None


class Reader(Protocol):
    """Reads the lines of one journal in order."""

    def read(self, line: bytes) -> tuple[str, Iterator[Fact]] | None:
        """Return the conversation that a line is about, and what it says; None for one that says nothing."""

    def state(self) -> dict[str, Any]:
        """Return what the next reader of this journal must know, as JSON values."""


class Adapter(Protocol):
    """A coding client's journals."""

    name: str

    def delivered(self, delivery: Delivery, *, bodies: bool = False) -> tuple[str, Iterator[Fact]]:
        """Return the conversation that a delivery is about, and what it says.

        Args:
            delivery: It.
            bodies: Whether events are to have their texts.

        Raises:
            BadPayloadError: It is none of this client's.
        """

    def exported(self, content: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield what a telemetry post says of conversations, each as an event name and a delivery's body.

        `delivered` reads a delivery of such an event. Nothing is yielded for posts about other things.

        Raises:
            BadPayloadError: It is no post that this client could have sent.
        """

    def journals(self, config_folder: Path) -> Iterator[JournalFile]:
        """Yield the journals below a client's configuration folder; blocks while it lists folders."""

    def journal_at(self, path: Path, config_folder: Path) -> JournalFile | None:
        """Return the journal that a path is, or is the small file of; None for anything else."""

    def default_folder(self, environ: Mapping[str, str]) -> Path:
        """Return the configuration folder that the client uses in an environment.

        Raises:
            RuntimeError: There is no home folder.
        """

    def watched(self, config_folder: Path) -> Path:
        """Return the folder below which the journals lie."""

    def reader(
        self, journal: JournalFile, state: Mapping[str, Any] | None, *, bodies: bool = False
    ) -> Reader:
        """Return a reader that goes on where one that left this state ended; at the beginning for None."""

    def transcript_of(self, journal: JournalFile, native_id: str) -> Path:
        """Return the path of a conversation's own journal, from that of any of its journals."""

    def beside(self, journal: JournalFile, content: bytes) -> Iterator[Fact]:
        """Yield what the small file beside a journal says; nothing for one that cannot be read."""

    def started_in(self, transcript: str | None, cwd: str | None) -> str | None:
        """Return the folder that a conversation was started in, as far as its journal's place tells."""
