"""A bar that says how far a long command is: on a terminal, on standard error; nothing in a pipe."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Watcher = Callable[[int, int], None]
"""Told how many of how many are done."""


@contextmanager
def shown(word: str, *, as_json: bool) -> Iterator[Watcher]:
    """Show a bar while the block runs.

    Args:
        word: What is being done.
        as_json: Whether a program is to read the answer; then there is no bar.
    """
    if as_json or not sys.stderr.isatty() or not sys.stdout.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn(word), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(word, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
