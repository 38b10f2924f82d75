"""Standard output and error that no character stops."""

import io
import sys


def accept_any_text() -> None:
    r"""Write what the encoding of standard output or error lacks as \xNN or \uNNNN.

    An ASCII locale lacks most characters, and every encoding those that stand for the bytes of a file name that is
    not UTF-8.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
