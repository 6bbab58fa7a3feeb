"""`Redactor`: secrets out of text, those we know, wherever they stand, and what looks like one."""

import re
from collections.abc import Iterable
from threading import Lock

from sessionlib.redaction.places import MASK, has_place, without_places
from sessionlib.redaction.shapes import has_shape, without_shapes
from sessionlib.redaction.spellings import spellings

_LOOKED_AT = 16_000
"""Characters of one excerpt that are looked at; no line of the log shows more than a quarter of them."""

_PATTERN_MARGIN = 256
"""Characters beside a cut that are dropped: the cut may hide from the patterns that they are a secret."""


class Redactor:
    """Replaces secrets by ``***``; safe to use from any thread.

    Known secrets are found as they are and in the spellings that URLs, JSON, ``repr`` and our own escaping
    give them. Unknown ones are found by where they stand (in a URL's user part, behind ``password=`` and its
    like, in an Authorization header) and by how they look (tokens with their issuer's prefix, signed tokens,
    private keys).
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._lock = Lock()
        self._spellings: frozenset[str] = frozenset()
        self._known: re.Pattern[str] | None = None
        for secret in secrets:
            self.keep(secret)

    def keep(self, secret: str) -> None:
        """Never let this value through again; one of fewer than 4 characters is not looked for."""
        with self._lock:
            self._spellings |= spellings(secret)
            longest_first = sorted(self._spellings, key=lambda spelling: (-len(spelling), spelling))
            if longest_first:
                self._known = re.compile("|".join(map(re.escape, longest_first)))

    def clean(self, text: str) -> str:
        """Return the text without secrets. Blocks for nothing; time grows with the text's length alone."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        # Shapes first: behind `private_key:` a place ends at the first space and hides how the key begins.
        text = without_shapes(text)
        return without_places(text) if has_place(text) else text

    def is_harmless(self, text: str) -> bool:
        """Tell, sooner than by cleaning it, that no piece of this text needs to be cleaned or cut."""
        if len(text) > _LOOKED_AT or has_place(text) or has_shape(text):
            return False
        return self._known is None or self._known.search(text) is None

    def excerpt(self, text: str, *, keep_end: bool = False) -> tuple[str, bool]:
        """Return text without secrets, and whether it was cut because it is far too long.

        Text is to be cut after it was cleaned. What is too long even to be cleaned is cut before, at its end
        or its beginning, and what may then be a piece of a secret goes as well.
        """
        if len(text) <= _LOOKED_AT:
            return self.clean(text), False
        longest = max(map(len, self._spellings), default=0)
        margin = min(max(longest, _PATTERN_MARGIN), _LOOKED_AT // 2)
        if keep_end:
            return self.clean(text[-_LOOKED_AT:])[margin:], True
        return self.clean(text[:_LOOKED_AT])[:-margin], True
