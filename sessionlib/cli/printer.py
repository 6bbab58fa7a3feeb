"""Print an answer: one JSON object for programs, aligned text in a pipe, tables on a terminal.

In a pipe only data goes to standard output; notes and the line about freshness go to standard error.
"""

import os
import sys
from collections.abc import Iterable
from typing import Any

from sessionlib.cli.answer import Answer
from sessionlib.cli.render import freshness_line, json_object, plain_lines
from sessionlib.cli.text import is_unicode, json_text, visible


class Printer:
    """Prints to this process's standard streams, as they are at the time.

    Args:
        as_json: Print the one object for programs.
        color: False for no colours; the environment's NO_COLOR is honoured too.
    """

    def __init__(self, *, as_json: bool = False, color: bool = True) -> None:
        self.as_json = as_json
        self.color = color and not os.environ.get("NO_COLOR")

    def print(self, answer: Answer) -> None:
        """Print an answer, and flush it."""
        if answer.stream is not None:
            self._print_stream(answer.stream)
        elif self.as_json:
            self._print_json(answer)
        elif sys.stdout.isatty():
            from sessionlib.cli.terminal import Terminal  # rich, where it is needed only

            Terminal(color=self.color).print(answer)
        else:
            for line in plain_lines(answer.blocks):
                print(line)
            self._note([*answer.notes, *freshness_line(answer.freshness)])
        sys.stdout.flush()

    def _print_json(self, answer: Answer) -> None:
        ascii_only = not is_unicode(sys.stdout)
        print(json_text(json_object(answer), ascii_only=ascii_only))
        self._note(answer.notes)

    def _print_stream(self, stream: Iterable[tuple[Any, str]]) -> None:
        """Print each entry when it comes: a line of JSON for programs, a line of text for people."""
        ascii_only = not is_unicode(sys.stdout)
        for row, line in stream:
            print(json_text(row, ascii_only=ascii_only) if self.as_json else visible(line), flush=True)

    def _note(self, notes: Iterable[str]) -> None:
        try:
            for note in notes:
                print(visible(note), file=sys.stderr)
        except OSError:
            return  # The answer is what counts, and it does not go there.
