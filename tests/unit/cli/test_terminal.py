"""What a terminal is shown: sentences whole, however narrow it is."""

import io

from rich.console import Console

from sessionlib.cli.answer import Answer, Lines
from sessionlib.cli.terminal import Terminal


def test_a_sentence_is_not_folded() -> None:
    """A command in it is copied as it stands; where the line ends on the screen is the terminal's matter."""
    command = f"  run: sessionctl rebuild /home/me/{'a-long-name/' * 8}agents/sessions/one"
    shown = io.StringIO()
    Terminal(console=Console(width=40, file=shown)).print(Answer(blocks=[Lines([command])]))
    assert shown.getvalue() == f"{command}\n"
