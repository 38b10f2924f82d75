"""Report the files and fragments that a run could not do, and how to go on."""

import glob
import json
import sys
from collections.abc import Sequence

from pipeline.failures import FragmentFailure
from pipeline.input.planning import FailedFile
from pipeline.output.output_folder import FAILED

DONE, PARTLY = 0, 3
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


def how_to_read(output: str) -> str:
    """A line on how to read the output: Polars would also take files in the folder that are no parts."""
    parts = json.dumps(f"{glob.escape(output.rstrip('/'))}/**/*.parquet", ensure_ascii=False)
    return f"to read it: pl.read_parquet({parts}) in Polars; other readers take the folder as it is"
