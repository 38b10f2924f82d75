"""Lines for people or, as JSON, for programs: on standard error, results on standard output, all in a log file."""

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal, TextIO

from pipeline.errors import ConfigError
from pipeline.monitoring.origin import Origin
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.printable import printable

_PLAIN_TERMINALS = ("dumb", "unknown")
_STAMP = "%Y-%m-%d %H:%M:%S"

LogFormat = Literal["text", "json"]
Level = Literal["info", "progress", "error", "result"]


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

    Attributes:
        is_quiet: show only errors and results. The log file gets everything.
        log_format: "json" makes each message one line, an object with the time, the level, the text, the id of the
            run, and the fragment, attempt and node where they are known.
        run: the id of the run; empty until it is known.
    """

    def __init__(
        self, log: BinaryIO | None = None, *, is_quiet: bool = False, log_format: LogFormat = "text"
    ) -> None:
        self.is_quiet = is_quiet
        self.log_format = log_format
        self.run = ""
        self._log = log
        # Reentrant, as a log that cannot be written is told of like all else.
        self._lock = threading.RLock()

    @property
    def is_live(self) -> bool:
        """Whether a line can be drawn again and again on standard error."""
        is_for_people = self.log_format == "text" and not self.is_quiet
        return is_for_people and sys.stderr.isatty() and os.environ.get("TERM") not in _PLAIN_TERMINALS

    def __call__(self, line: str | None) -> None:
        """Show news on standard error."""
        if line is not None:
            self._show("info", line, None if self.is_quiet else sys.stderr)

    def progress(self, line: str) -> None:
        """Show progress on standard error with a time stamp, unless a terminal shows it live."""
        is_shown = not self.is_quiet and not self.is_live
        self._show("progress", line, sys.stderr if is_shown else None, is_stamped=True)

    def note(self, line: str, origin: Origin | None = None) -> None:
        """Show an event of the run on standard error, with a time stamp and where it happened."""
        self._show("info", line, None if self.is_quiet else sys.stderr, origin, is_stamped=True)

    def error(self, line: str, origin: Origin | None = None) -> None:
        """Show an error on standard error; `origin` is for JSON."""
        self._show("error", line, sys.stderr, origin)

    def result(self, line: str) -> None:
        """Show a result on standard output."""
        self._show("result", line, sys.stdout)

    def dump(self, write: Callable[[TextIO], None]) -> None:
        """Show what a function writes to a real file, such as stacks, on standard error; in JSON as one error."""
        if self.log_format == "text":
            write(sys.stderr)
            return
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as file:
            write(file)
            file.seek(0)
            self.error(file.read())

    def _show(
        self,
        level: Level,
        line: str,
        stream: TextIO | None,
        origin: Origin | None = None,
        *,
        is_stamped: bool = False,
    ) -> None:
        line, stamp = without_secret(line), time.strftime(_STAMP)
        if self.log_format == "json":
            shown = self._as_json(level, line, origin or Origin())
            logged = f"{shown}\n"
        else:
            if is_stamped and (where := str(origin or "")):
                line = f"{line} [{where}]"
            shown = f"{stamp}  {line}" if is_stamped else line
            logged = "".join(f"{stamp}  {each}\n" for each in line.splitlines())
        with self._lock:
            if stream is not None:
                print(shown, file=stream, flush=True)
            if self._log is not None:
                self._append(logged)

    def _as_json(self, level: Level, line: str, origin: Origin) -> str:
        values: dict[str, str | int] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            # Names that are not UTF-8 would make strings that some parsers refuse.
            "message": "\n".join(map(printable, line.split("\n"))),
            "run": self.run,
            **origin.known(),
        }
        # In ASCII, so that a stream of any encoding has nothing to escape.
        return json.dumps({name: value for name, value in values.items() if value != ""})

    def _append(self, text: str) -> None:
        assert self._log is not None
        try:
            self._log.write(text.encode(errors="backslashreplace"))
        except OSError as error:
            self._log = None
            self._show(
                "error",
                f"--log-file: cannot be written any more ({error.strerror or error}); the run goes on without it",
                sys.stderr,
            )
