"""What a run says at its end of the files and fragments that it could not do, and how to go on."""

import sys
import traceback
from collections.abc import Sequence

from ray.exceptions import RayError, RayTaskError

from pipeline.errors import PipelineError
from pipeline.failures import FragmentFailure
from pipeline.input.planning import FailedFile
from pipeline.output.output_folder import FAILED

DONE, PARTLY = 0, 3
_GO_ON = "finished parts are kept, run the same command again to go on from there"
_MAX_SHOWN = 20


def report_failures(files: Sequence[FailedFile], failures: Sequence[FragmentFailure], output: str) -> int:
    """List on stderr what failed and why; returns the exit code, `DONE` or `PARTLY`."""
    for file in files:
        print(f"not read: {file.path}: {file.reason}", file=sys.stderr)
    for failure in failures[:_MAX_SHOWN]:
        print(f"failed: {failure}", file=sys.stderr)
    if len(failures) > _MAX_SHOWN:
        print(f"and {len(failures) - _MAX_SHOWN} more, see {output}/{FAILED}", file=sys.stderr)
    if failures:
        print(
            f"{len(failures)} fragments failed, the others are in {output}; mend what is named above, then run "
            "the same command again, or with --retry-failed to do just those",
            file=sys.stderr,
        )
    return PARTLY if files or failures else DONE


def failure_message(error: PipelineError | RayError) -> str:
    """What ended a run, and how to go on; an error that no one has foreseen is told with its stack."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(cause, PipelineError):
        return str(cause)
    if isinstance(error, RayTaskError):
        traceback.print_exception(error)
        return f"an error that was not foreseen, its stack is above; {_GO_ON}"
    # Where an actor could not be made, this holds why.
    return f"a process that the run depends on was lost; {_GO_ON}\n{type(error).__name__}: {error}"
