"""What can go wrong, as users see it: one small tree, told apart by what can be done about it.

Each message names the field, what was found, what was expected and the remedy.
No message holds a row's text.
"""


class PipelineError(Exception):
    """Base of every error that the pipeline raises on purpose."""


class ConfigError(PipelineError, ValueError):
    """The job's configuration is refused, before any work."""


class InputError(PipelineError, ValueError):
    """The input as a whole (its paths, files or columns) is refused, before any work."""


class JobError(PipelineError):
    """The job cannot go on, whatever fragment it is at."""


class UnreadableFileError(PipelineError):
    """One input file is no readable Parquet file: it is listed, and the others go on."""


class FragmentError(PipelineError):
    """One fragment cannot be read: its file has changed since planning, or its data is damaged."""


class OutputError(PipelineError):
    """A part or a record cannot be written, or what came to be written is not a whole fragment."""


class LeaseLostError(JobError, OutputError):
    """This run no longer holds the lease of its output, whose root is given: it changes nothing there any more."""

    def __str__(self) -> str:
        (root,) = self.args
        return (
            f"output.path: {root}: the lease is lost: it could not be renewed in time, or another run has taken "
            "it; see who writes there, then run the job again: finished parts are kept"
        )
