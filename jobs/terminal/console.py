"""The rich console on which commands print their tables."""

from rich.console import Console


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
