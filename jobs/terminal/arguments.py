"""Shared parts of the command lines: the option `--version`, and arguments in UTF-8."""

from argparse import ArgumentParser, ArgumentTypeError
from importlib.metadata import version


def add_version(parser: ArgumentParser) -> None:
    """Add the option `--version`."""
    parser.add_argument("--version", action="version", version=f"xlmr-ray {version('xlmr-ray')}")


def utf8_text(argument: str) -> str:
    """Decode an argument as UTF-8 in any locale; for argparse's `type`."""
    try:
        return argument.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArgumentTypeError(f"expected UTF-8, found other bytes from {error.start} on") from None
