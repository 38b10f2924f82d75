"""The exceptions of the pipeline, by how they are handled.

Each message names the field, what was found, what was expected and the remedy. None contains a row's text.
"""


class PipelineError(Exception):
    """Base class of all errors that the pipeline raises on purpose."""


class ConfigError(PipelineError, ValueError):
    """The job's configuration is invalid; raised before any work."""


class InputError(PipelineError, ValueError):
    """The input as a whole (its paths, files or columns) is invalid; raised before any work."""


class JobError(PipelineError):
    """The job cannot continue, whatever the fragment."""


class NoRoomError(PipelineError):
    """The cluster has had no room for the ranks of the job in time; nothing has been done."""


class UnreadableFileError(PipelineError):
    """One input file is not a readable Parquet file. It is reported, and the others are processed."""


class FragmentError(PipelineError):
    """One fragment cannot be read: its file has changed since planning, or is damaged."""


class OutputError(PipelineError):
    """A part or a record cannot be written, or a block to write is not a whole fragment."""


class LeaseLostError(JobError, OutputError):
    """This run no longer holds the lease of its output, whose root is given: it changes nothing there any more."""

    def __str__(self) -> str:
        (root,) = self.args
        return (
            f"output.path: {root}: the lease is lost: it could not be renewed in time, or another run has taken "
            "it; see who writes there, then run the job again: finished parts are kept"
        )
