"""Every verb, action and option of both programs, read off their parsers: what is new is tested by itself."""

import argparse
from collections.abc import Iterator
from typing import NamedTuple

from sessiond.main import _parser as daemon_parser
from sessionlib.cli.main import build_parser

HOSTILE = (
    "",
    " ",
    "-1",
    "nan",
    "1e400",
    "9" * 5000,
    "no such thing",
    "a\nb\x1b[31m\u202e",
    "\udcff\udcfe",
    "~nobody-of-that-name/x",
    "/dev/full/x",
    "x" * 5000,
)
"""Values that hardly any option takes."""

OF_EVERY_VERB = frozenset({"--config", "--database", "--state-dir", "--runtime-dir"})


class Slot(NamedTuple):
    """One place for a value: an option of a command, or one of its bare words.

    Attributes:
        command: The program and its verb and action.
        option: The option's name; empty for a bare word.
        before: What else the command cannot do without.
    """

    command: tuple[str, ...]
    option: str
    before: tuple[str, ...]

    def words(self, value: str) -> list[str]:
        """Return the command with a value in this place."""
        given = [f"{self.option}={value}"] if self.option else ["--", value]
        if self.option:
            return [*self.command[1:], *given, *self.before]
        return [*self.command[1:], *self.before, *given]

    def __str__(self) -> str:
        return " ".join([*self.command, self.option or f"word-{len(self.before)}"])


Found = Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]


def parsers(parser: argparse.ArgumentParser, *path: str) -> Found:
    """Yield a parser and those of its verbs and actions, with the words that lead there."""
    yield path, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from parsers(below, *path, name)


def commands() -> Found:
    """Yield every command of both programs that does something, and its parser."""
    for program, parser in (("sessionctl", build_parser()), ("sessiond", daemon_parser())):
        for path, below in parsers(parser, program):
            if below.get_default("run") is not None:
                yield path, below


def slots(program: str) -> list[Slot]:
    """Return every place for a value in the commands of a program."""
    found = [slot for path, parser in commands() if path[0] == program for slot in _slots(path, parser)]
    return sorted(set(found), key=str)


def _slots(path: tuple[str, ...], parser: argparse.ArgumentParser) -> Iterator[Slot]:
    taking = [action for action in parser._actions if action.nargs != 0 and not _is_verb(action)]
    needed = [action for action in taking if action.required and action.option_strings]
    words = [action for action in taking if not action.option_strings and action.nargs is None]
    for action in taking:
        if action.option_strings:
            before = [f"{one.option_strings[0]}=x" for one in needed if one is not action]
            before += [_word(one) for one in words]
            yield Slot(path, action.option_strings[-1], tuple(before))
    for number in range(len(words)):
        before = [f"{one.option_strings[0]}=x" for one in needed] + [_word(one) for one in words[:number]]
        yield Slot(path, "", tuple(before))


def _word(action: argparse.Action) -> str:
    """Return a bare word that is in order."""
    if action.choices:
        return str(next(iter(action.choices)))
    return "1" if action.type is not None and "whole" in getattr(action.type, "__qualname__", "") else "x"


def _is_verb(action: argparse.Action) -> bool:
    return isinstance(action, argparse._SubParsersAction)
