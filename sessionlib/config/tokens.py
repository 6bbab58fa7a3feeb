"""The token of the loopback listener: configured, or drawn once and kept in the state folder."""

import re
import secrets
from pathlib import Path

from sessionlib.config.files import UnfitFileError, keep, read_secret
from sessionlib.errors import ConfigError

_LEAST = 16
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+", re.ASCII)


def read_token(path: Path, *, where: str, private: bool) -> str:
    """Return the token in a file.

    Args:
        path: The file.
        where: What named it, for messages.
        private: Refuse it unless it is ours alone.

    Raises:
        ConfigError: It cannot be read, or does not hold one token that a header can carry.
    """
    try:
        token = read_secret(path, private=private)
    except UnfitFileError as error:
        raise _unfit(path, where, str(error)) from None
    if not _TOKEN.fullmatch(token):
        raise _unfit(path, where, "a token is made of letters, digits and . _ ~ + / = -")
    if len(token) < _LEAST:
        raise _unfit(path, where, f"a token has at least {_LEAST} characters")
    return token


def kept_token(path: Path) -> str:
    """Return the token kept in a file of ours, drawing it (0600) first if there is none.

    Raises:
        ConfigError: It cannot be kept or read.
    """
    if not path.exists():
        try:
            keep(path, f"{secrets.token_urlsafe(32)}\n")
        except OSError as error:
            raise _unfit(path, "the defaults", error.strerror or str(error)) from error
    return read_token(path, where="the defaults", private=True)


def _unfit(path: Path, where: str, reason: str) -> ConfigError:
    return ConfigError(
        f"{where}: control.token_file: the token in {path} cannot be used: {reason}",
        key="control.token_file",
        source=where,
        hint="delete the file to have one drawn"
        if where == "the defaults"
        else "write one: openssl rand -hex 32",
    )
