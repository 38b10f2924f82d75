"""Which parts with errors `--retry-errors` has replaced, and what it says of the others."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyarrow import fs

from pipeline.output.increment import describe_lasting_errors
from pipeline.output.manifest import Manifest
from pipeline.output.output_folder import OutputFolder
from pipeline.output.part_writer import finish_part
from pipeline.output.run_output import RunOutput
from pipeline.row_errors import ErrorKind
from tests.simulation.drivers import Input, table_of

IDENTITY = {"model": "a"}
TABLE = table_of((Input("whole", "a", "m", 2), Input("begun", "b", "m", 2)))
LASTING = {ErrorKind.NO_TEXT: 3, ErrorKind.NOT_UTF8: 1}
MIXED = {ErrorKind.NO_TEXT: 3, ErrorKind.OUT_OF_MEMORY: 1}


def output_of(folder: OutputFolder, **options: Any) -> RunOutput:
    plan: Any = SimpleNamespace(fragments=TABLE, failed_files=())
    return RunOutput(folder, plan, IDENTITY, **options)


def written(root: Path, errors: list[dict[ErrorKind, int]]) -> OutputFolder:
    """An output with the first parts of the table, which have these errors."""
    folder = OutputFolder(fs.LocalFileSystem(), str(root))
    Manifest(folder).begin(IDENTITY)
    for fragment, found in zip(TABLE, errors, strict=False):
        counts = {"num_errors": sum(found.values()), "num_tokens": 1, "num_windows": 1}
        finish_part(folder, fragment, b"part", staged_inputs=frozenset(), errors=found, **counts)
    output_of(folder).end()
    return folder


@pytest.mark.parametrize(
    ("errors", "retried"),
    [
        ([{}, {}, {}, {}], []),
        ([LASTING, {}, LASTING, LASTING], []),
        ([LASTING, MIXED, {}, LASTING], [1]),
        ([{ErrorKind.CRASHED: 1}, {}, {ErrorKind.NOT_FINITE: 1}, {ErrorKind.OTHER: 2}], [0, 2, 3]),
        # The second file has no record of its own yet, as it is not complete.
        ([{}, LASTING, MIXED], [2, 3]),
        ([MIXED, {}, LASTING], [0, 3]),
    ],
)
def test_only_what_may_change_is_done_again(
    errors: list[dict[ErrorKind, int]], retried: list[int], tmp_path: Path
) -> None:
    folder = written(tmp_path / "out", errors)
    todo = output_of(folder, retries_errors=True).increment.todo
    assert list(todo) == [TABLE[index] for index in retried]
    assert len(output_of(folder).increment.todo) == len(TABLE) - len(errors)


def test_what_is_left_as_it_was_is_told(tmp_path: Path) -> None:
    folder = written(tmp_path / "a", [LASTING, MIXED, LASTING, {}])
    # The other part of the first file is kept and counted as well.
    assert describe_lasting_errors(output_of(folder, retries_errors=True).inventory) == (
        "--retry-errors: 8 rows with errors are left as before, since the input causes the error "
        "(6 no_text, 2 not_utf8)"
    )
    folder = written(tmp_path / "b", [{ErrorKind.NO_MASK: 1}, {}, {}, {}])
    assert describe_lasting_errors(output_of(folder, retries_errors=True).inventory) == (
        "--retry-errors: 1 row with an error is left as before, since the input causes the error (1 no_mask)"
    )
    folder = written(tmp_path / "c", [{ErrorKind.CRASHED: 1}, {}, {}, {}])
    assert describe_lasting_errors(output_of(folder, retries_errors=True).inventory) is None
