"""The command lines' parser: a mistake is one sentence and a hint, as every other error of the two programs.

Standard library only: both programs parse before they import anything else.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from sessionlib.errors import printable

_TOLD_MOST = 500
_USAGE = 2
_SHOWN = 3
_BROKEN_PIPE = 141
"""What the shell reports of a program that SIGPIPE ended, as it ends others in a pipe."""

_LOOK = "look at where standard output leads"


class Parser(argparse.ArgumentParser):
    """A parser, or that of a verb, which tells what is near to a word that it does not know.

    Options are never guessed from their first letters: one that is added later must not break a script.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})
        # What has no kind of its own is a text for a database or a document.
        self.register("type", None, a_text)

    # The decorator `override` would cost an import that takes longer than all the parsing.
    def error(self, message: str) -> NoReturn:  # type: ignore[explicit-override]
        """Tell what is wrong, and end with the exit code of a usage error."""
        self.refuse(message)

    def refuse(self, message: str, hint: str | None = None) -> NoReturn:
        """Tell what is wrong and what to do, in one line each; ends the program.

        Raises:
            SystemExit: Always, with 2.
        """
        short = message if len(message) <= _TOLD_MOST else f"{message[:_TOLD_MOST]}…"
        told = f"{self.prog.partition(' ')[0]}: {printable(short)}\n"
        told += f"  hint: {printable(hint or f'`{self.prog} --help` tells what it takes')}\n"
        self.exit(_USAGE, told)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:  # type: ignore[explicit-override]
        """End the program; 1 where its help, or its version, cannot be written."""
        try:
            sys.stdout.flush()
        except OSError as error:
            _drop_output()
            gone = isinstance(error, BrokenPipeError)
            status = _BROKEN_PIPE if gone else 1
            told = f"cannot write the answer: {error.strerror}"
            message = None if gone else f"{self.prog.partition(' ')[0]}: {told}\n  hint: {_LOOK}\n"
        try:
            if message:
                sys.stderr.write(message)
                sys.stderr.flush()
        except OSError:
            pass  # There is nobody left to tell it to.
        raise SystemExit(status)

    def sign(self) -> None:
        """Let the options that each verb and action returns say, as `parser`, which parser has read them."""
        self.set_defaults(parser=self)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - argparse tells it nowhere else
                for below in action.choices.values():
                    below.sign()

    def refuse_words(self, words: Sequence[str]) -> NoReturn:
        """Tell of words that nothing takes, and which option the first may be a slip of.

        Raises:
            SystemExit: Always, with 2.
        """
        first = words[0].partition("=")[0]
        known = [name for action in self._actions for name in action.option_strings]
        close = _nearest(first, known) if first.startswith("-") else []
        told = ", ".join(f"`{self.prog} {name}`" for name in close)
        self.refuse(f"unrecognized arguments: {' '.join(words)}", f"did you mean: {told}?" if close else None)

    # Of argparse's own: it would read all that follows a verb as of the verb's kind.
    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:  # type: ignore[explicit-override]
        if action.nargs == argparse.PARSER:
            return arg_string
        return super()._get_value(action, arg_string)

    # Of argparse's own: it takes `--`, given as the value of an option, for the end of the options.
    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:  # type: ignore[explicit-override]
        if not action.option_strings or action.nargs is not None:
            return super()._get_values(action, arg_strings)
        value = self._get_value(action, arg_strings[0])
        self._check_value(action, value)
        return value

    # Of argparse's own: the one place where it knows the wrong word and the right ones.
    def _check_value(self, action: argparse.Action, value: Any) -> None:  # type: ignore[explicit-override]
        if action.choices is None or value in action.choices:
            return
        known = [str(name) for name in action.choices]
        close = _nearest(str(value), known)
        what = "/".join(action.option_strings) or str(action.metavar or action.dest).lower()
        self.refuse(
            f"there is no {what} {str(value)!r}",
            f"did you mean: {', '.join(close)}?" if close else f"it is one of {', '.join(known)}",
        )


def _drop_output() -> None:
    """Point standard output at nothing, so that the interpreter's last flush does not complain."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, sys.stdout.fileno())
    except (OSError, ValueError):
        pass
    finally:
        os.close(nothing)


def _nearest(word: str, known: Iterable[str]) -> list[str]:
    # Only needed for a message, and every command would pay for its import.
    from difflib import get_close_matches  # noqa: PLC0415

    return get_close_matches(word[:_TOLD_MOST], list(known), n=_SHOWN)


def a_path(text: str) -> Path:
    """Take a path, but not an empty one: a variable that was not set must not mean the working folder.

    Raises:
        argparse.ArgumentTypeError: It is empty, or holds NUL.
    """
    if not text or "\0" in text:
        message = (
            "a path cannot hold NUL" if text else "a path must not be empty; '.' is the folder you are in"
        )
        raise argparse.ArgumentTypeError(message)
    return Path(text)


def a_text(text: str) -> str:
    """Take a text that databases and documents hold: whole characters, and no NUL.

    Raises:
        argparse.ArgumentTypeError: It is no UTF-8, or holds NUL.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        message = f"{text!r} is no text in UTF-8"
        raise argparse.ArgumentTypeError(message) from None
    if "\0" in text:
        message = "a text cannot hold NUL"
        raise argparse.ArgumentTypeError(message)
    return text


def filled(text: str) -> str:
    """Take a text, but not an empty one.

    Raises:
        argparse.ArgumentTypeError: It is empty, or no text.
    """
    if not text:
        message = "it must not be empty"
        raise argparse.ArgumentTypeError(message)
    return a_text(text)
