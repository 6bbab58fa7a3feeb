"""Claude Code's adapter: its hooks and its transcripts."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from sessionlib.journal.adapter import JournalFile, Reader
from sessionlib.journal.claude_code import layout, payloads, places, telemetry
from sessionlib.journal.claude_code.layout import TranscriptFile
from sessionlib.journal.claude_code.records import Transcript, meta_facts
from sessionlib.journal.facts import MAIN, Fact
from sessionlib.journal.spool import Delivery
from sessionlib.journal.trees import loads, text_of

_SKIPPED = (b'{"type":"api-request', b'{"type": "api-request')
"""How lines begin that say nothing to us and are nine tenths of a transcript: not worth reading as JSON."""


class ClaudeCode:
    """Reads what Claude Code leaves behind."""

    name = "claude-code"

    def delivered(self, delivery: Delivery, *, bodies: bool = False) -> tuple[str, Iterator[Fact]]:
        """Return the conversation that a delivery is about, and what it says.

        Raises:
            BadPayloadError: It is none of this client's.
        """
        native_id, payload = payloads.conversation_of(delivery)
        if delivery.event == telemetry.EVENT:
            return native_id, telemetry.requests_of(payload, delivery.at)
        return native_id, payloads.facts_of(delivery, payload, bodies=bodies)

    def exported(self, content: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield what a telemetry post says of conversations, each as an event name and a delivery's body.

        Raises:
            BadPayloadError: It is no OTLP logs export as JSON.
        """
        return telemetry.exported(content)

    def journals(self, config_folder: Path) -> Iterator[JournalFile]:
        """Yield the transcripts below a configuration folder."""
        for found in layout.walk(layout.projects_folder(config_folder)):
            if not found.is_meta:
                yield _journal(found)

    def journal_at(self, path: Path, config_folder: Path) -> JournalFile | None:
        """Return the transcript that a path is, or is the small file of; None for anything else."""
        found = layout.classify(path, layout.projects_folder(config_folder))
        if found is None:
            return None
        if found.is_meta:
            found = found._replace(path=layout.transcript_of(path), is_meta=False)
        return _journal(found)

    def default_folder(self, environ: Mapping[str, str]) -> Path:
        """Return the configuration folder that the client uses in an environment.

        Raises:
            RuntimeError: There is no home folder.
        """
        return places.config_folder(environ)

    def watched(self, config_folder: Path) -> Path:
        """Return the folder below which the transcripts lie."""
        return layout.projects_folder(config_folder)

    def reader(
        self, journal: JournalFile, state: Mapping[str, Any] | None, *, bodies: bool = False
    ) -> Reader:
        """Return a reader that goes on where one that left this state ended; at the beginning for None."""
        return _Reader(journal, state or {}, bodies=bodies)

    def transcript_of(self, journal: JournalFile, native_id: str) -> Path:
        """Return the path of a conversation's own transcript, from that of any of its transcripts."""
        return layout.own_of(journal.path, native_id)

    def beside(self, journal: JournalFile, content: bytes) -> Iterator[Fact]:
        """Yield what the small file beside an agent's transcript says."""
        try:
            meta = orjson.loads(content)
        except orjson.JSONDecodeError:
            return
        if isinstance(meta, dict):
            yield from meta_facts(journal.agent, meta)

    def started_in(self, transcript: str | None, cwd: str | None) -> str | None:
        """Return the folder that a conversation was started in, as far as its transcript's place tells."""
        return layout.started_in(transcript, cwd)


class _Reader:
    """Reads one transcript; one whose place does not tell whose it is, by its first line that does."""

    def __init__(self, journal: JournalFile, state: Mapping[str, Any], *, bodies: bool) -> None:
        self._bodies = bodies
        self._agent = journal.agent
        self._native_id = journal.native_id or text_of(dict(state), "native_id")
        self._is_told = journal.native_id is not None
        self._state = state
        self._transcript: Transcript | None = None

    def read(self, line: bytes) -> tuple[str, Iterator[Fact]] | None:
        """Return the conversation that a line is about, and what it says; None for one that says nothing."""
        if line.startswith(_SKIPPED):
            return None
        try:
            record = loads(line)
        except ValueError:
            return None
        if not isinstance(record, dict):
            return None
        if self._native_id is None:
            self._native_id = text_of(record, "sessionId")
            if self._native_id is None:
                return None
        if self._transcript is None:
            self._transcript = Transcript(self._native_id, self._agent, self._state)
        body = line.decode("utf-8", "replace") if self._bodies else None
        return self._native_id, self._transcript.facts_of(record, len(line), body)

    def state(self) -> dict[str, Any]:
        """Return what the next reader must know."""
        state = dict(self._state) if self._transcript is None else self._transcript.state()
        if not self._is_told and self._native_id is not None:
            state["native_id"] = self._native_id
        return state


def _journal(found: TranscriptFile) -> JournalFile:
    beside = None if found.agent == MAIN else layout.meta_of(found.path)
    return JournalFile(found.path, found.native_id, found.agent, beside)
