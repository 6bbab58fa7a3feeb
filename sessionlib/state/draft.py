"""A session's document while it is being changed, under the session's lock."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sessionlib.errors import StateRefusedError
from sessionlib.state.content import SessionContent
from sessionlib.state.decoding import json_kind


@dataclass(frozen=True, slots=True)
class Draft:
    """What an edit works on.

    Attributes:
        document: The document with every character of the file; edits change it in place.
        content: What it said before the edit.
        now: The present moment as it is written into documents.
        session_dir: For errors.
    """

    document: dict[str, Any]
    content: SessionContent
    now: str
    session_dir: Path

    def refuse(self, message: str, hint: str | None = None) -> StateRefusedError:
        """Return the error of an edit that does not fit."""
        return StateRefusedError(message, session_dir=self.session_dir, hint=hint)

    def section(self, key: str, holder: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the object at a key, made where it is missing or null.

        Raises:
            StateRefusedError: Something else is there; to overwrite it would lose it.
        """
        place = self.document if holder is None else holder
        value = place.get(key)
        if value is None:
            value = place[key] = {}
        if not isinstance(value, dict):
            raise self._wrong_kind(key, value, "an object")
        return value

    def listing(self, key: str) -> list[Any]:
        """Return the list at a key, made where it is missing or null.

        Raises:
            StateRefusedError: Something else is there; to overwrite it would lose it.
        """
        value = self.document.get(key)
        if value is None:
            value = self.document[key] = []
        if not isinstance(value, list):
            raise self._wrong_kind(key, value, "a list")
        return value

    def text(self, name: str, value: object) -> str:
        """Return a text that says something.

        Raises:
            StateRefusedError: It is empty, or no text.
        """
        if not isinstance(value, str) or not value.strip():
            message = f"{name} must be a text that is not empty"
            raise self.refuse(message)
        return value

    def optional(self, name: str, value: object) -> str | None:
        """Return a text, or None for None and the empty text.

        Raises:
            StateRefusedError: It is no text.
        """
        return None if value is None or value == "" else self.text(name, value)

    def _wrong_kind(self, key: str, value: object, wanted: str) -> StateRefusedError:
        message = f"{key} holds {json_kind(value)} where {wanted} belongs"
        return self.refuse(message, "mend state.json by hand; overwriting would lose what is there")
