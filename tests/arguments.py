"""Hostile values for the command lines: what is no file, what terminals obey, and what dice draw."""

import argparse
import os
import random
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests import commands
from tests.commands import Slot

TEXTS = (
    "-",
    "--",
    "-x",
    "=",
    "a=b",
    "@file",
    "%s%n%00",
    "$(id)`id`;id|id&",
    "'\"\\",
    "{x!r}",
    "[red]x[/]",
    "../../../../etc/passwd",
    "..",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\x7f\x08\r",
    "\u202eabc\u2066",
    "\u2028\u2029\x85",
    "\ufeff",
    "a\u0300" * 2000,
    "\U0001f9f1" * 1000,
    "\udc80\udcff",
    "x" * 4000,
    "/" + "y/" * 2000,
    "\n",
    "\t",
)
NUMBERS = (
    "-0",
    "-1",
    "+0",
    "0x10",
    "1_000",
    "\u0661\u0662",
    "1e309",
    "-inf",
    "NaN",
    "\u221e",
    "1,5",
    "0.0000000001",
    str(2**63),
    str(-(2**63) - 1),
    "9" * 400,
    "true",
    "null",
    "[]",
)
NAMES = (
    "sqlite:////dev/zero",
    "sqlite:////dev/full",
    "sqlite:///",
    "sqlite:///a?mode=ro&x=\x1b[31m",
    "postgresql://[::1",
    "postgresql://%00@/x",
    "postgresql://\udcff@localhost/x?connect_timeout=1",
    "mysql://x",
    "file:///dev/zero",
    "http://127.0.0.1:1/",
    "127.0.0.1:0",
    "[::]:80",
    "0000-00-00",
    "9999-99-99T99:99:99Z",
    "00000000-0000-0000-0000-000000000000",
    "deadbeef" * 8,
)


def odd_places(folder: Path) -> tuple[str, ...]:
    """Make things that are no proper files or folders; return their paths, and those of devices."""
    (folder / "folder").mkdir()
    (folder / "file").write_bytes(bytes(range(256)))
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "to-itself").symlink_to(".")
    (folder / "dangling").symlink_to("nothing")
    (folder / "closed").mkdir(mode=0)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(folder / "socket"))
    names = ["folder", "file", "pipe", "loop", "to-itself", "dangling", "closed", "socket"]
    inside = [f"{name}/x" for name in names]
    devices = ["/dev/null", "/dev/zero", "/dev/full", "/dev/null/x", "/proc/self/mem", "/proc/self/fd/99"]
    return (*(str(folder / name) for name in names + inside), *devices)


def drawn(dice: random.Random, places: Sequence[str], count: int) -> Iterator[str]:
    """Yield values, a third of them places; the same dice draw the same."""
    for _ in range(count):
        yield dice.choice((_place, _known, _scraps))(dice, places)


def _place(dice: random.Random, places: Sequence[str]) -> str:
    return dice.choice(places)


def _known(dice: random.Random, _: Sequence[str]) -> str:
    return dice.choice((*TEXTS, *NUMBERS, *NAMES))


def _scraps(dice: random.Random, _: Sequence[str]) -> str:
    """Return bytes as a program gets them, with no NUL in them; or known values glued together."""
    if dice.random() < 0.5:
        found = bytes(dice.randrange(1, 256) for _ in range(dice.randrange(1, 60)))
        return found.decode("utf-8", "surrogateescape")
    return "".join(dice.choice((*TEXTS[:19], *NUMBERS)) for _ in range(dice.randrange(2, 5)))


Way = tuple[str, Callable[[str], list[str]]]
"""What a place for a value is called, and how a call with a value there reads."""


def ways(program: str) -> list[Way]:
    """Return every way to give a value to a program: its slots, words that may be left out, and flags."""
    found: list[Way] = [(str(slot), slot.words) for slot in commands.slots(program)]
    for path, parser in commands.commands():
        if path[0] == program:
            found += _loose(path, parser)
            found += _flags(path, parser)
    return sorted(found, key=lambda way: way[0])


def _loose(path: tuple[str, ...], parser: argparse.ArgumentParser) -> Iterator[Way]:
    """Yield words that may be left out, or come several times; the ones that are needed around them."""
    words = [action for action in parser._actions if not action.option_strings and action.nargs != 0]
    words = [action for action in words if not isinstance(action, argparse._SubParsersAction)]
    options = [action for action in parser._actions if action.required and action.option_strings]
    before = [f"{action.option_strings[0]}=x" for action in options]
    for place, loose in enumerate(words):
        if loose.nargs is None:
            continue
        needed = [[commands._word(word)] if word.nargs is None else [] for word in words]

        def call(value: str, place: int = place, needed: list[list[str]] = needed) -> list[str]:
            given = [*needed[:place], [value], *needed[place + 1 :]]
            return [*path[1:], *before, "--", *(word for one in given for word in one)]

        yield " ".join([*path, f"[{loose.dest}]"]), call


def _flags(path: tuple[str, ...], parser: argparse.ArgumentParser) -> Iterator[Way]:
    """Yield options that take no value, with one; but for help, which ends there."""
    slot = next(iter(commands._slots(path, parser)), Slot(path, "", ()))
    needed = slot.before if slot.option else ()
    for action in parser._actions:
        if action.option_strings and action.nargs == 0 and "--help" not in action.option_strings:
            name = action.option_strings[-1]
            yield (
                f"{' '.join(path)} {name}=",
                lambda value, name=name: [
                    *path[1:],
                    f"{name}={value}",
                    *needed,
                ],
            )
