"""Make standard output and error accept every character, also after their reader has gone."""

import io
import os
import stat
import sys


def accept_any_text() -> None:
    r"""Escape characters that standard output or error lacks as \xNN or \uNNNN, and drop what nobody reads.

    An ASCII locale lacks most characters; all encodings lack the surrogates of file names that are not UTF-8. What
    is written to a pipe whose reader has left, such as `head`, is dropped, so that a run goes on and ends with the
    exit code of its work.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
            if stream is getattr(sys, f"__{name}__") and _is_pipe(stream):
                setattr(sys, name, _patient(stream))


class _PatientPipe(io.FileIO):
    """A pipe that leads nowhere once its reader has left it."""

    def write(self, data: object) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)  # type: ignore[arg-type]
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return super().write(data)  # type: ignore[arg-type]


def _is_pipe(stream: io.TextIOWrapper) -> bool:
    mode = os.fstat(stream.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _patient(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """The same stream over a `_PatientPipe`, with as much of a buffer."""
    stream.flush()
    pipe = _PatientPipe(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        pipe if isinstance(stream.buffer, io.FileIO) else io.BufferedWriter(pipe),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
