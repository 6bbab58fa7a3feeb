"""Secrets by where they stand: in a URL's user part, behind ``password=`` and its like, in a header."""

import re

MASK = "***"

_NAMES = r"(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|authorization)"

_NAME_HINTS = ("passw", "passphrase", "secret", "token", "key", "authorization")
_HINTS = (*_NAME_HINTS, "bearer", "://")
"""Without one of these words no pattern can match, and most lines have none."""

_SENSITIVE_KEY = re.compile(rf"{_NAMES}$", re.IGNORECASE)

_NAME_ENDS = "|".join(
    rf"(?<={name})"
    for name in (
        *("password", "passwd", "passphrase", "secret", "token", "authorization"),
        *(f"{first}{sign}key" for first in ("api", "access", "private") for sign in ("[_-]", "")),
    )
)
"""The same names, told from behind: a pattern that tries them at each place of a long word takes too long."""

_SCHEMES = "Bearer|Basic|Digest|Token|Negotiate|NTLM|DPoP|Hawk|OAuth|Api-?Key|Key|Bot|SSWS|GenieKey|Splunk"

_ASSIGNED = re.compile(
    # In a URL's query the value ends where the next one begins; elsewhere it may hold a "&".
    rf"(?P<query>[?&][\w.%-]{{0,64}}{_NAMES}=)[^\s&#\"'<>]*"
    rf"|(?P<name>{_NAMES}\\*[\"']?\s*+(?:=>|[=:])\s*+)"
    # A quoted value ends at the next quote that is escaped as often as the first; without one, never.
    rf"(?:(?P<quote>\\*[\"'])(?s:.*?)(?P<end>(?<!\\)(?P=quote)|\Z)|(?:(?:{_SCHEMES})\s+)?\S+)"
    rf"|(?P<option>(?<![\w-])(?=[\w-]*?--)[\w-]++(?:{_NAME_ENDS})[\"']?,?\s+[\"']?)[^\s\"',]+",
    re.IGNORECASE,
)
_ALIKE = {hint: "passw(?:or)?d" if hint == "passw" else hint for hint in _NAME_HINTS}
_SET = {hint: re.compile(rf"{name}\\*[\"']?\s*+[=:]") for hint, name in _ALIKE.items()}
_OPTED = {hint: re.compile(rf"{name}[\"']?,?\s") for hint, name in _ALIKE.items()}
"""What must follow a name for `_ASSIGNED` to match there: most names are only spoken of."""

_BEARER = re.compile(r"(\bBearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE)
_CONFIGURED = re.compile(
    r"(secret[_-]?access[_-]?key\\*[\"']?[\s,]{1,9}\\*[\"']?)[\w/+]{40}(?![\w/+])", re.IGNORECASE | re.ASCII
)
"""``aws configure set aws_secret_access_key …`` knows no sign between the two."""

_URL_USER = re.compile(r"://[^\s:/@\"']*:")
_URL_END = re.compile(r"[\s\"'<>]|\Z")
_AT_OR_SPACE = re.compile(r"[\s@]|\Z")
_URL_TOKEN = re.compile(r"(://)[\w.~%-]{20,}@")


def has_place(text: str) -> bool:
    """Tell whether there may be such a place in the text, much sooner than by cleaning it."""
    lower = text.lower()
    for hint in _HINTS:  # noqa: SIM110 - any() takes three times as long
        if hint in lower:
            return True
    return False


def is_sensitive(key: str) -> bool:
    """Tell whether a field of this name holds a secret, whatever it looks like."""
    return _SENSITIVE_KEY.search(key) is not None


def without_places(text: str) -> str:
    """Return the text with a mask in each such place, in time proportional to its length."""
    lower = text.lower()
    if "://" in lower and "@" in lower:
        text = _URL_TOKEN.sub(rf"\1{MASK}@", _without_url_passwords(text))
    if "secret" in lower and "access" in lower:
        text = _CONFIGURED.sub(rf"\1{MASK}", text)
    if _may_assign(lower):
        text = _ASSIGNED.sub(_masked, text)
    if "bearer" in lower:
        text = _BEARER.sub(rf"\1{MASK}", text)
    return text


def _may_assign(lower: str) -> bool:
    has_options = "--" in lower
    for hint in _NAME_HINTS:
        if hint in lower and (_SET[hint].search(lower) or (has_options and _OPTED[hint].search(lower))):
            return True
    return False


def _without_url_passwords(text: str) -> str:
    """Mask what stands between a URL's user and its host: up to the last @ that the URL holds.

    No pattern by itself, because one would look from each of many beginnings to the same far end.
    """
    shown: list[str] = []
    done = end = stop = 0
    last = -1
    for user in _URL_USER.finditer(text):
        begin = user.end()
        if user.start() < done:
            continue
        if begin >= end:
            end = _end_of(_URL_END, text, begin)
            last = text.rfind("@", begin, end)
        at = last if last >= begin else -1
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
