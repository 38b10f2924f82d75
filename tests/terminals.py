"""Run a command on a terminal of some width, and read what it shows."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def shown_on_terminal(
    command: Sequence[str], width: int, environment: Mapping[str, str], folder: Path
) -> tuple[list[str], bool]:
    """Every line that was drawn, also those drawn over, without control codes; and whether any had a colour."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    # Those of the terminal of the tests would go before its size.
    variables = {**os.environ, **environment}
    variables.pop("COLUMNS", None)
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=variables)
    os.close(theirs)
    text = b""
    while chunk := _read(ours):
        text += chunk
    os.close(ours)
    assert process.wait() == 0, text.decode()
    lines = re.split(r"[\r\n]+", text.decode())
    without = [_CONTROL.sub("", line).rstrip() for line in lines]
    return [line for line in without if line], bool(_COLOUR.search(text.decode()))


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 2**16)
    except OSError:  # the other end is closed
        return b""
