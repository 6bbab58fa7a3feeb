"""`sessionctl`: parse, let the verb answer, print, and turn every error into one line and an exit code."""

import argparse
import sys
from collections.abc import Sequence

from sessionlib import __version__
from sessionlib.arguments import Parser
from sessionlib.cli import endings
from sessionlib.cli.answer import Answer
from sessionlib.cli.context import Context
from sessionlib.cli.options import GLOBAL_DEFAULTS, global_options
from sessionlib.cli.printer import Printer
from sessionlib.cli.verbs import adding

_DESCRIPTION = "Ask the mirror of coding-agent sessions, bring it up to date, and change sessions."
_EPILOG = """\
examples:
  sessionctl sync ~/code              mirror all projects below a folder, once
  sessionctl sessions --phase build   which sessions are in build
  sessionctl query recent             where was I
  sessionctl agents --failed          which agents failed, and why
  sessionctl cost --by session        what did each session cost
  sessionctl show garden-wall         everything about one session
  sessionctl status                   is everything on disk mirrored, and how is the daemon
  sessionctl rescan ~/code/shop       mirror what changed there now, and wait for it
  sessionctl session phase build      move the session of this folder on

exit codes: 0 ok, 1 a negative answer (also: stale), 2 usage, 3 daemon not running, 69 database unreachable,
75 locked, 78 configuration or schema
"""


def build_parser(words: Sequence[str] = ()) -> Parser:
    """Return the parser of the whole command line, or of what these words of a call can mean."""
    common = global_options()
    parser = Parser(
        prog="sessionctl",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    parser.add_argument("--version", action="version", version=f"sessionctl {__version__}")
    commands = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for add in adding(words):
        add(commands, common)
    parser.sign()
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    return endings.ended(lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    words = sys.argv[1:] if argv is None else argv
    parser = build_parser(words)
    options, left = parser.parse_known_args(words, argparse.Namespace(**GLOBAL_DEFAULTS))
    if left:
        # The usage of the action is worth more here than that of the whole program.
        options.parser.refuse_words(left)
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
        raise endings.unprintable(error) from error
