"""Secrets out of text: those we know, wherever they stand, and what looks like one."""

import json
import re
from collections.abc import Callable, Iterable
from threading import Lock
from urllib.parse import quote, quote_plus, unquote

from sessiond.logs.text import escaped

MASK = "***"

SHORTEST = 4
"""Characters of the shortest secret that is looked for; shorter ones would blank out ordinary words."""

_LOOKED_AT = 16_000
"""Characters of one text that are looked at; no line shows more than a quarter of them."""

_PATTERN_MARGIN = 256
"""Characters beside a cut that are dropped: the cut may hide from the patterns that they are a secret."""

_SHORTEST_LINE = 8
"""Characters of the shortest line of a secret of several lines that is a secret by itself."""

_NAMES = r"(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|authorization)"

_HINTS = ("passw", "passphrase", "secret", "token", "key", "authorization", "bearer", "://")
"""Without one of these words no pattern can match, and most lines have none."""

_SENSITIVE_KEY = re.compile(rf"{_NAMES}$", re.IGNORECASE)

_ASSIGNED = re.compile(
    # In a URL's query the value ends where the next one begins; elsewhere it may hold a "&".
    rf"(?P<query>[?&][\w.%-]{{0,64}}{_NAMES}=)[^\s&#\"'<>]*"
    rf"|(?P<name>{_NAMES}\\*[\"']?\s*(?:=>|[=:])\s*)"
    # A quoted value ends at the next quote that is escaped as often as the first; without one, never.
    r"(?:(?P<quote>\\*[\"'])(?s:.*?)(?P<end>(?<!\\)(?P=quote)|\Z)|(?:(?:Bearer|Basic|Digest|Token)\s+)?\S+)"
    rf"|(?P<option>--[\w-]{{0,64}}?{_NAMES}[\"']?,?\s+[\"']?)[^\s\"',]+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(\bBearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE)
_URL_USER = re.compile(r"://[^\s:/@\"']*:")
_URL_END = re.compile(r"[\s\"'<>]|\Z")
_AT_OR_SPACE = re.compile(r"[\s@]|\Z")
_URL_TOKEN = re.compile(r"(://)[\w.~%-]{20,}@")


class Redactor:
    """Replaces secrets by ``***``; safe to use from any thread.

    Known secrets are found as they are and in the spellings that URLs, JSON, ``repr`` and our own escaping
    give them. Unknown ones are found by where they stand: in a URL's user part, behind ``password=`` and its
    like, in an Authorization header.
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
            self._spellings |= _spellings(secret)
            longest_first = sorted(self._spellings, key=lambda spelling: (-len(spelling), spelling))
            if longest_first:
                self._known = re.compile("|".join(map(re.escape, longest_first)))

    def clean(self, text: str) -> str:
        """Return the text without secrets."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        if _has_hint(text):
            text = _URL_TOKEN.sub(rf"\1{MASK}@", _without_url_passwords(text))
            text = _BEARER.sub(rf"\1{MASK}", _ASSIGNED.sub(_masked, text))
        return text

    def is_harmless(self, text: str) -> bool:
        """Tell, sooner than by cleaning it, that no piece of this text needs to be cleaned or cut."""
        if len(text) > _LOOKED_AT or _has_hint(text):
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


def _has_hint(text: str) -> bool:
    lower = text.lower()
    for hint in _HINTS:  # noqa: SIM110 - any() takes three times as long
        if hint in lower:
            return True
    return False


def is_sensitive(key: str) -> bool:
    """Tell whether a field of this name holds a secret, whatever it looks like."""
    return _SENSITIVE_KEY.search(key) is not None


def _without_url_passwords(text: str) -> str:
    """Mask what stands between a URL's user and its host: up to the last @ that the URL holds.

    No pattern by itself, because one would look from each of many beginnings to the same far end.
    """
    shown: list[str] = []
    done = end = stop = 0
    for user in _URL_USER.finditer(text):
        begin = user.end()
        if user.start() < done:
            continue
        if begin >= end:
            end = _end_of(_URL_END, text, begin)
        at = text.rfind("@", begin, end)
        if at < 0:
            # The quote at which the URL seems to end may be a character of the password.
            if end >= stop:
                stop = _end_of(_AT_OR_SPACE, text, end)
            at = stop if text[stop : stop + 1] == "@" else -1
        if at >= 0:
            shown += (text[done:begin], MASK)
            done = at
    return "".join([*shown, text[done:]])


def _end_of(pattern: re.Pattern[str], text: str, begin: int) -> int:
    found = pattern.search(text, begin)
    return found.start() if found else len(text)


def _masked(match: re.Match[str]) -> str:
    head = match["query"] or match["name"] or match["option"]
    return f"{head}{match['quote'] or ''}{MASK}{match['end'] or ''}"


def _spellings(secret: str) -> frozenset[str]:
    """Return the ways in which text may spell a secret."""
    found = {secret, secret.strip(), unquote(secret)}
    found.update(line.strip() for line in secret.splitlines() if len(line.strip()) >= _SHORTEST_LINE)
    for plain in tuple(found):
        found.update(_quoted(plain))
    # Twice, because a traceback or a document inside a value is escaped once more.
    for _ in range(2):
        for plain in tuple(found):
            found.update(_escapes(plain))
    return frozenset(spelling for spelling in found if len(spelling) >= SHORTEST)


def _quoted(text: str) -> set[str]:
    """Return a text as URLs spell it, by the several opinions on what need not be quoted."""
    found = {quote(text, safe=safe, errors="replace") for safe in ("", "/", " +")}
    found.add(quote_plus(text, errors="replace"))
    return found | {re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), spelling) for spelling in found}


def _escapes(text: str) -> set[str]:
    """Return a text as `repr`, JSON and our own lines spell it."""
    inner = {_inside(repr, text), _inside(ascii, text), _inside(_repr_of_bytes, text)}
    # Which quotes repr escapes depends on what else stands between them.
    inner |= {spelling.replace("'", "\\'") for spelling in inner}
    return inner | {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], escaped(text)}


def _inside(spell: Callable[[str], str], text: str) -> str:
    """Return what `spell` writes between its quotes, leaving the quotes in the text as they are."""
    return "'".join(spell(part)[1:-1] for part in text.split("'"))


def _repr_of_bytes(text: str) -> str:
    return repr(text.encode(errors="surrogatepass"))[1:]
