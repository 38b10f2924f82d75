"""Shared parts of the command lines: the option `--version`, arguments in UTF-8, and those that are misspelt."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.metadata import version

from pipeline.exit_codes import REFUSED


def add_version(parser: ArgumentParser) -> None:
    """Add the option `--version`."""
    parser.add_argument("--version", action="version", version=f"xlmr-ray {version('xlmr-ray')}")


def utf8_text(argument: str) -> str:
    """Decode an argument as UTF-8 in any locale; for argparse's `type`."""
    try:
        return argument.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArgumentTypeError(f"expected UTF-8, found other bytes from {error.start} on") from None


def parse_known(parser: ArgumentParser, arguments: Sequence[str] | None) -> Namespace:
    """Parse a command line; one with an unknown argument ends the process with one line, in place of the usage."""
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        known = [option for action in parser._actions for option in action.option_strings]
        nearest = get_close_matches(unknown[0].partition("=")[0], known, n=1)
        remedy = f"did you mean {nearest[0]}?" if nearest else "leave it out"
        parser.exit(
            REFUSED,
            f"refused: {unknown[0]}: found an argument that {parser.prog} does not know, expected those that "
            f"--help lists; {remedy}\n",
        )
    return options
