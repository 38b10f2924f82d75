"""The console that commands print their tables on."""

from rich.console import Console


def plain_console(width: int, *, narrowest: int = 0) -> Console:
    """A console that prints text as it is: names may hold `[...]` and `:...:`, for rich styles and emoji.

    Args:
        width: characters of a line where the output is no terminal.
        narrowest: the least number of characters of a line on a terminal.
    """
    console = Console(highlight=False, markup=False, emoji=False)
    console.width = max(console.width, narrowest) if console.is_terminal else width
    return console
