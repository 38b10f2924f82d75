"""Make standard output and error accept every character."""

import io
import sys


def accept_any_text() -> None:
    r"""Escape characters that the encoding of standard output or error lacks as \xNN or \uNNNN.

    An ASCII locale lacks most characters; all encodings lack the surrogates of file names that are not UTF-8.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
