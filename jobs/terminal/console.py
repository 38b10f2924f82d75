"""The rich console on which commands print their tables."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Column, Table


def plain_console(width: int, *, narrowest: int = 0, has_markup: bool = False) -> Console:
    """A console that prints text verbatim: names may contain `[...]` or `:...:`, rich's markup and emoji codes.

    Args:
        width: characters per line if the output is not a terminal.
        narrowest: minimum number of characters per line on a terminal.
        has_markup: interpret `[...]` as styles after all.
    """
    console = Console(highlight=False, markup=has_markup, emoji=False)
    console.width = max(console.width, narrowest) if console.is_terminal else width
    return console


def facts_text(facts: Iterable[tuple[str, str]], width: int = 100) -> str:
    """Names and values as lines of a table; long ones are folded, so that it fits terminals of 40 columns."""
    table = Table(Column(overflow="fold"), Column(overflow="fold"), show_header=False, box=None, pad_edge=False)
    for name, value in facts:
        table.add_row(name, value)
    console = plain_console(width)
    with console.capture() as capture:
        console.print(table)
    return capture.get().rstrip("\n")
