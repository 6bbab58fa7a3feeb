"""`sessionctl`: parse, let the verb answer, print, and turn every error into one line and an exit code."""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TextIO

from sessionlib import __version__
from sessionlib.cli.answer import Answer
from sessionlib.cli.context import Context
from sessionlib.cli.options import GLOBAL_DEFAULTS, global_options
from sessionlib.cli.printer import Printer
from sessionlib.cli.text import visible
from sessionlib.cli.verbs import VERBS
from sessionlib.errors import SessionlibError

TRACEBACK_VARIABLE = "SESSIONCTL_TRACEBACK"

_INTERRUPTED = 130
_BROKEN_PIPE = 141
"""What the shell reports of a program that SIGPIPE ended, as it ends others in a pipe."""

_DESCRIPTION = "Ask the mirror of coding-agent sessions, bring it up to date, and change sessions."
_EPILOG = """\
examples:
  sessionctl sync ~/code              mirror all projects below a folder, once
  sessionctl sessions --phase build   which sessions are in build
  sessionctl query recent             where was I
  sessionctl show garden-wall         everything about one session
  sessionctl session phase build      move the session of this folder on

exit codes: 0 ok, 1 a negative answer, 2 usage, 69 database unreachable, 75 locked, 78 configuration or schema
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; imports no verb's tools."""
    common = global_options()
    parser = argparse.ArgumentParser(
        prog="sessionctl",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"sessionctl {__version__}")
    commands = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for add in VERBS:
        add(commands, common)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    with suppress(AttributeError, ValueError):
        # A terminal of another encoding shows escapes instead of breaking the command.
        for stream in (sys.stdout, sys.stderr):
            _as_wrapper(stream).reconfigure(errors="backslashreplace")
    try:
        return _run(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
    except SessionlibError as error:
        _complain(error.message, error.hint)
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return _BROKEN_PIPE
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        _complain(
            f"unexpected {type(error).__name__}: {first}",
            f"run it again with {TRACEBACK_VARIABLE}=1 to see where, and report it",
        )
        return 1


def _as_wrapper(stream: TextIO) -> Any:
    return stream


def _run(argv: Sequence[str] | None) -> int:
    parser = build_parser()
    options, left = parser.parse_known_args(argv, argparse.Namespace(**GLOBAL_DEFAULTS))
    if left:
        # The usage of the action is worth more here than that of the whole program.
        getattr(options, "parser", parser).error(f"unrecognized arguments: {' '.join(left)}")
    from sessionlib.cli import logs

    with logs.shown(options.verbose):
        context = Context(options)
        with context.blaming():
            answer = options.run(context)
        _print(Printer(as_json=options.json, color=not options.no_color), answer)
    return int(answer.exit_code)


def _print(printer: Printer, answer: Answer) -> None:
    try:
        printer.print(answer)
    except BrokenPipeError:
        raise
    except OSError as error:
        _drop_output()
        raise SessionlibError(f"cannot write the answer: {error.strerror or error}") from error


def _complain(message: str, hint: str | None) -> None:
    with suppress(OSError):
        print(f"sessionctl: {visible(message)}", file=sys.stderr)
        if hint:
            print(f"  hint: {visible(hint)}", file=sys.stderr)


def _drop_output() -> None:
    """Point standard output at nothing, so that the interpreter's last flush does not complain either."""
    with suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
