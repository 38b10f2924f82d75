"""Lines for people: on standard error, results on standard output, all with time stamps in a log file."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from pipeline.errors import ConfigError
from pipeline.storage.filesystem_uris import without_secret

_PLAIN_TERMINALS = ("dumb", "unknown")
_STAMP = "%Y-%m-%d %H:%M:%S"


@contextmanager
def opened_log(path: Path | None) -> Iterator[BinaryIO | None]:
    """Open a log file to append to; None for none. Raises ConfigError if it cannot be written."""
    if path is None:
        yield None
        return
    try:
        # Without a buffer, which would fail again when the file is closed.
        file = path.open("ab", buffering=0)
    except OSError as error:
        raise ConfigError(
            f"--log-file: {path} cannot be written ({error.strerror or error}), expected a file in a folder that "
            "exists, which is appended to; name another one"
        ) from None
    with file:
        yield file


class Messages:
    """Shows lines for people; a call shows news. None shows nothing. Secrets of URIs are left out.

    `is_quiet`: show only errors and results. The log file gets everything.
    """

    def __init__(self, log: BinaryIO | None = None, *, is_quiet: bool = False) -> None:
        self.is_quiet = is_quiet
        self._log = log
        self._lock = threading.Lock()

    @property
    def is_live(self) -> bool:
        """Whether a line can be drawn again and again on standard error."""
        return not self.is_quiet and sys.stderr.isatty() and os.environ.get("TERM") not in _PLAIN_TERMINALS

    def __call__(self, line: str | None) -> None:
        """Show news on standard error."""
        if line is not None:
            self._show(line, stream=None if self.is_quiet else sys.stderr)

    def progress(self, line: str) -> None:
        """Show progress on standard error with a time stamp, unless a terminal shows it live."""
        is_shown = not self.is_quiet and not self.is_live
        self._show(line, stream=sys.stderr if is_shown else None, is_stamped=True)

    def note(self, line: str) -> None:
        """Show an event of the run on standard error with a time stamp."""
        self._show(line, stream=None if self.is_quiet else sys.stderr, is_stamped=True)

    def error(self, line: str) -> None:
        """Show an error on standard error."""
        self._show(line, stream=sys.stderr)

    def result(self, line: str) -> None:
        """Show a result on standard output."""
        self._show(line, stream=sys.stdout)

    def _show(self, line: str, *, stream: TextIO | None, is_stamped: bool = False) -> None:
        line, stamp = without_secret(line), time.strftime(_STAMP)
        with self._lock:
            if stream is not None:
                print(f"{stamp}  {line}" if is_stamped else line, file=stream, flush=True)
            if self._log is not None:
                self._append("".join(f"{stamp}  {each}\n" for each in line.splitlines()))

    def _append(self, text: str) -> None:
        assert self._log is not None
        try:
            self._log.write(text.encode(errors="backslashreplace"))
        except OSError as error:
            self._log = None
            print(
                f"--log-file: cannot be written any more ({error.strerror or error}); the run goes on without it",
                file=sys.stderr,
                flush=True,
            )
