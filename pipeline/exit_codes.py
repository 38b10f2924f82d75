"""The exit codes of all commands, as the README lists them, and which of them an error ends with."""

from pipeline.errors import ConfigError, InputError, NoRoomError, PipelineError

DONE = 0
FAILED = 1
"""Ended early; the same command goes on."""
REFUSED = 2
"""Before any work, for what it was asked to do."""
PARTLY = 3
"""Ended, but some files or fragments could not be done."""
NO_ROOM = 4
NOT_FINISHED = 5
"""Of `jobs.status`: the run goes on, or was interrupted."""
INTERRUPTED = 130


def exit_code_of(error: BaseException) -> int:
    """The exit code of a command that this error ends."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, NoRoomError):
        return NO_ROOM
    return REFUSED if isinstance(error, ConfigError | InputError) else FAILED


def ending_of(error: PipelineError) -> str:
    """The error as a command tells it, after a word for its exit code."""
    word = {REFUSED: "refused", NO_ROOM: "no room"}.get(exit_code_of(error), "failed")
    return f"{word}: {error}"
