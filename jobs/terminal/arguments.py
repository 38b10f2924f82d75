"""What the command lines share: `--version`, and arguments as text."""

from argparse import ArgumentParser, ArgumentTypeError
from importlib.metadata import version


def add_version(parser: ArgumentParser) -> None:
    """The option `--version`."""
    parser.add_argument("--version", action="version", version=f"xlmr-ray {version('xlmr-ray')}")


def utf8_text(argument: str) -> str:
    """An argument as the UTF-8 that it is in the shell, in whatever locale; for argparse's `type`."""
    try:
        return argument.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArgumentTypeError(f"expected UTF-8, found other bytes from {error.start} on") from None
