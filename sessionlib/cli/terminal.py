"""Print an answer on a terminal, with rich. Every text goes in as `Text`: markup in data stays data."""

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from sessionlib.cli.answer import Answer, Block, Column, Document, Facts, Lines, Table
from sessionlib.cli.render import cells_of, freshness_line
from sessionlib.cli.text import cell, json_text, visible


class Terminal:
    """Prints tables as wide as the terminal allows.

    Args:
        color: False for no colours.
        console: Where to; standard output for None.
    """

    def __init__(self, *, color: bool = True, console: Console | None = None) -> None:
        self._console = console or Console(
            no_color=not color, highlight=False, markup=False, emoji=False, soft_wrap=False
        )

    def print(self, answer: Answer) -> None:
        """Print all blocks, then the notes, then how fresh the data is."""
        for index, block in enumerate(answer.blocks):
            shown = _rendered(block)
            if not shown:
                continue
            if index:
                self._console.print()
            for part in shown:
                # A sentence is whole: one with a command is copied. The terminal itself begins new lines.
                self._console.print(part, soft_wrap=isinstance(block, Lines))
        for note in answer.notes:
            self._console.print(Text(visible(note)))
        for line in freshness_line(answer.freshness):
            style = "yellow" if answer.freshness and answer.freshness.stale else "dim"
            self._console.print(Text(line, style=style))


def _rendered(block: Block) -> list[RenderableType]:
    if isinstance(block, Lines):
        return [Text(visible(line)) for line in block.lines]
    if isinstance(block, Document):
        return [Text(json_text(block.tree, indent=2))]
    title: list[RenderableType] = [Text(visible(block.title), style="bold")] if block.title else []
    if isinstance(block, Facts):
        return [*title, _facts(block)] if block.pairs else []
    if not block.rows:
        return [Text(block.empty, style="dim")] if block.empty else []
    return [*title, _table(block)]


def _facts(block: Facts) -> RichTable:
    grid = RichTable.grid(padding=(0, 2))
    for name, value in block.pairs:
        grid.add_row(Text(name, style="dim"), Text(cell(value)))
    return grid


def _table(block: Table) -> RichTable:
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for column in block.columns:
        table.add_column(
            Text(column.title), justify="right" if column.right else "left", no_wrap=column.right
        )
    for row in cells_of(block.columns, block.rows):
        table.add_row(*(_cell(column, text) for column, text in zip(block.columns, row, strict=True)))
    return table


def _cell(column: Column, text: str) -> Text:
    style = column.style if isinstance(column.style, str) else column.style(text)
    return Text(text, style=style, overflow="fold")
