"""The options every verb takes, before or after it, and the kinds of values that options have."""

import argparse
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from sessionlib import moments
from sessionlib.arguments import a_path, filled

T = TypeVar("T")

MOST = 2**31 - 1
"""The greatest number an option takes: what both databases hold in an integer."""

GLOBAL_DEFAULTS: dict[str, object] = {
    "config": None,
    "database": None,
    "state_dir": None,
    "runtime_dir": None,
    "json": False,
    "no_color": False,
    "verbose": 0,
    "max_age": None,
}


def global_options() -> argparse.ArgumentParser:
    """Return a parent parser with the options of every verb.

    Their defaults are suppressed: the parser of a verb must not undo what stood before the verb. The caller
    starts from `GLOBAL_DEFAULTS` instead.
    """
    parent = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    group = parent.add_argument_group("options of every verb")
    group.add_argument("--config", type=a_path, metavar="FILE", help="configuration file")
    group.add_argument("--database", type=filled, metavar="URL", help="database URL, without a password")
    group.add_argument("--state-dir", type=a_path, metavar="DIR", help="folder of the SQLite file")
    group.add_argument("--runtime-dir", type=a_path, metavar="DIR", help="folder of the daemon's socket")
    group.add_argument("--json", action="store_true", help='print one object: {"as_of", "stale", "rows"}')
    group.add_argument("--no-color", action="store_true", help="no colours (NO_COLOR does it too)")
    group.add_argument("-v", "--verbose", action="count", help="say more; twice: everything")
    return parent


def reading_options() -> argparse.ArgumentParser:
    """Return a parent parser with the options of the verbs that read the mirror."""
    parent = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    parent.add_argument(
        "--max-age",
        type=seconds(86400),
        metavar="TIME",
        help="answer only if all that was on disk so long ago is mirrored: 2s, 500ms, 1m; waits 10 s for it",
    )
    return parent


def add_paths(parser: argparse.ArgumentParser, what: str) -> None:
    """Let a verb take any number of paths; `what` says of what, and what is taken without one."""
    parser.add_argument("paths", nargs="*", metavar="PATH", type=a_path, help=what)


def add_accept_missing(parser: argparse.ArgumentParser) -> None:
    """Let a verb believe what would otherwise be held back."""
    parser.add_argument(
        "--accept-missing", action="store_true", help="believe it when most sessions of a root are gone"
    )


def whole(least: int, most: int = MOST) -> Callable[[str], int]:
    """Return the kind of an option that takes a whole number from `least` to `most`."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            message = f"{text!r} is no whole number from {least} to {most}"
            raise argparse.ArgumentTypeError(message)
        return number

    return parse


def amount(least: float, most: float) -> Callable[[str], float]:
    """Return the kind of an option that takes a number from `least` to `most`, fractions included."""

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not least <= number <= most:
            message = f"{text!r} is no number from {least:g} to {most:g}"
            raise argparse.ArgumentTypeError(message)
        return number

    return parse


def moment(text: str) -> datetime:
    """Take a moment: a day, an ISO moment, or how long ago; in UTC."""
    return _time(moments.moment, text)


def day(text: str) -> str:
    """Take a day in UTC, in any way in which a moment is given."""
    return _time(moments.day, text)


def _time(parse: Callable[[str, datetime], T], text: str) -> T:
    now = datetime.now(UTC)  # noqa: TID251 - utc_now() lies behind pydantic
    try:
        return parse(text, now)
    except ValueError as error:
        message = f"{text!r} is not {error}"
        raise argparse.ArgumentTypeError(message) from None


_UNITS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(most: float) -> Callable[[str], float]:
    """Return the kind of an option that takes a time (``2``, ``2s``, ``500ms``, ``1m``) of `most` seconds."""

    def parse(text: str) -> float:
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([a-z]*)", text.strip(), re.ASCII)
        unit = _UNITS.get(match[2]) if match else None
        if match is None or unit is None or not float(match[1]) * unit <= most:
            message = f"{text!r} is no time like 2s, 500ms or 1m, up to {most:g}s"
            raise argparse.ArgumentTypeError(message)
        return float(match[1]) * unit

    return parse
