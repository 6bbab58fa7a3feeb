"""The ways in which a text may spell a secret that we know."""

import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus, unquote

from sessionlib.escaping import escaped

SHORTEST = 4
"""Characters of the shortest secret that is looked for; shorter ones would blank out ordinary words."""

_SHORTEST_LINE = 8
"""Characters of the shortest line of a secret of several lines that is a secret by itself."""


def spellings(secret: str) -> frozenset[str]:
    """Return the secret as it is and as URLs, JSON, ``repr`` and our own lines spell it."""
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
