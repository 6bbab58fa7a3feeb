"""The password in a database URL: found, refused, masked. Split as SQLAlchemy does, wider when in doubt."""

import re
from urllib.parse import parse_qsl, unquote, unquote_plus

from sessionlib.errors import ConfigError

DATABASE_VARIABLE = "SESSIOND_DATABASE_URL"

_MASK = "***"
# A password may hold what would end another URL's host, even an @ that should have been written %40.
_USER_PASSWORD = re.compile(r"://[^:/]*:(?P<first>[^@]+)@")
_USER_PASSWORD_WIDE = re.compile(r"(?<=://)(?P<user>[^:/@]*):(?P<password>.*)@", re.DOTALL)
_QUERY_PASSWORD = re.compile(r"(?<=[?&])(?P<key>[a-z_]*password)=(?P<password>[^&]*)", re.IGNORECASE)
_SERVER = re.compile(
    r"postgres(?:ql)?(?:\+\w+)?://(?:[^:/]*(?::[^@]*)?@)?(?P<place>[^?]*)\??(?P<query>.*)", re.IGNORECASE
)
_PLACE_KEYS = frozenset({"host", "hostaddr", "port", "dbname", "service"})
"""What libpq takes from a URL's query that says which database is meant, not how to get in."""


def has_password(url: str) -> bool:
    """Tell whether a URL holds a password."""
    return bool(
        _USER_PASSWORD.search(url) or any(found["password"] for found in _QUERY_PASSWORD.finditer(url))
    )


def refuse_password(url: str) -> None:
    """Refuse a URL with a password that was given on the command line, where every user can see it.

    Raises:
        ConfigError: It has one.
    """
    if has_password(url):
        raise ConfigError(
            "a password on the command line can be read by every user of this machine",
            key="database.url",
            source="--database",
            hint=f"put the URL into {DATABASE_VARIABLE}, or the password into ~/.pgpass",
        )


def passwords_in(url: str) -> list[str]:
    """Return the passwords in a URL, each as it is written and as it is meant."""
    written = [found["first"] for found in _USER_PASSWORD.finditer(url)]
    written += [found["password"] for found in _USER_PASSWORD_WIDE.finditer(url)]
    meant = [unquote(text) for text in written]
    for found in _QUERY_PASSWORD.finditer(url):
        written.append(found["password"])
        meant.append(unquote_plus(found["password"]))
    return list(dict.fromkeys(text for text in [*written, *meant] if text))


def masked(url: str) -> str:
    """Return a URL with ``***`` for its passwords; all of it is masked where they cannot be told apart."""
    if url and "://" not in url:
        return _MASK
    hidden = _USER_PASSWORD_WIDE.sub(rf"\g<user>:{_MASK}@", url)
    return _QUERY_PASSWORD.sub(rf"\g<key>={_MASK}", hidden)


def same_database(one: str, other: str) -> bool:
    """Tell whether two URLs mean one database, so that only the way in (user, password, options) differs."""
    return one == other or (_place(one) is not None and _place(one) == _place(other))


def names_no_host(url: str) -> bool:
    """Tell whether a server's URL leaves its host to the client library and its environment."""
    place = _place(url)
    if place is None or place[0].partition("/")[0]:
        return False
    return not {"host", "hostaddr", "service"} & {key for key, _ in place[1]}


def _place(url: str) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    """Return what says which database a server's URL means: what follows its user, and some of its query."""
    found = _SERVER.fullmatch(url)
    if found is None:
        return None
    query = sorted(pair for pair in parse_qsl(found["query"]) if pair[0] in _PLACE_KEYS)
    return found["place"], tuple(query)
