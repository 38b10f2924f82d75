"""Arguments of the command line as text."""

from argparse import ArgumentTypeError


def utf8_text(argument: str) -> str:
    """An argument as the UTF-8 that it is in the shell, in whatever locale; for argparse's `type`."""
    try:
        return argument.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArgumentTypeError(f"expected UTF-8, found other bytes from {error.start} on") from None
