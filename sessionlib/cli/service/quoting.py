"""Words as systemd reads them in a unit file: quotes, escapes, ``%`` specifiers, ``$`` variables."""

from sessionlib.errors import UsageError

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@+,")
_UNFIT_FOR_A_PROGRAM = frozenset("\"'\\")
_SPACE = 0x20
_DELETE = 0x7F


def program(path: str) -> str:
    """Return the path of a program as the first word of an Exec line; ``$`` means nothing there.

    Raises:
        UsageError: systemd takes no program with such a path.
    """
    if not path.isprintable() or _UNFIT_FOR_A_PROGRAM & set(path):
        raise UsageError(
            f"systemd runs no program with such a path: {path!r}",
            hint="install sessiond where the path has no quotes, backslashes and control characters",
        )
    return _quoted(path.replace("%", "%%"))


def argument(text: str) -> str:
    """Return an argument of an Exec line: one word, taken as it stands."""
    return _quoted(_escaped(text).replace("%", "%%").replace("$", "$$"))


def assignment(name: str, value: str) -> str:
    """Return an assignment of an Environment line, where variables are not expanded.

    Raises:
        UsageError: The value has control characters, which systemd refuses there.
    """
    if not value.isprintable():
        raise UsageError(
            f"{name} cannot be {value!r} in a service",
            hint="name a path without control characters",
        )
    return _quoted(f"{name}={_escaped(value)}".replace("%", "%%"))


def _quoted(text: str) -> str:
    return text if text and set(text) <= _BARE else f'"{text}"'


def _escaped(text: str) -> str:
    return "".join(map(_escaped_character, text))


def _escaped_character(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char == "\n":
        return "\\n"
    if _SPACE <= ord(char) != _DELETE and char.isprintable():
        return char
    # Also the bytes of a path that are no text: they come as lone surrogates.
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))
