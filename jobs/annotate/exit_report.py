"""Report the files and fragments that failed in a run, and what to do next."""

import glob
import json
from collections.abc import Callable, Mapping, Sequence

from pipeline.exit_codes import DONE, PARTLY
from pipeline.failures import FragmentFailure
from pipeline.input.planning import FailedFile
from pipeline.monitoring.origin import Origin
from pipeline.output.output_folder import FAILED
from pipeline.storage.printable import number_of

_MAX_SHOWN = 20


def report_failures(
    files: Sequence[FailedFile],
    failures: Sequence[FragmentFailure],
    output: str,
    show: Callable[[str, Origin | None], None],
    origins: Mapping[str, Origin],
) -> int:
    """Show failures and their reasons; returns the exit code, `DONE` or `PARTLY`.

    `origins` are those of failures, by part path.
    """
    for file in files:
        show(f"not read: {file.path}: {file.reason}", None)
    for failure in failures[:_MAX_SHOWN]:
        show(f"failed: {failure}", origins.get(failure.part_path, Origin(failure.part_path)))
    if len(failures) > _MAX_SHOWN:
        show(f"and {len(failures) - _MAX_SHOWN:,} more, see {output}/{FAILED}", None)
    if failures:
        show(
            f"{number_of(len(failures), 'fragment')} failed, the others are in {output}; fix the causes named "
            "above, then run the same command again, or with --retry-failed to process only those",
            None,
        )
    return PARTLY if files or failures else DONE


def how_to_read(output: str) -> str:
    """A line on how to read the output: given the folder, Polars would also read files that are not parts."""
    parts = json.dumps(f"{glob.escape(output.rstrip('/'))}/**/*.parquet", ensure_ascii=False)
    return f"to read it: pl.read_parquet({parts}) in Polars; other readers take the folder as it is"
