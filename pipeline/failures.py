"""Fragments that could not be done: as blocks of the dataset, and as records beside those of the parts.

A failed fragment goes on through the dataset as a block of one row that says what happened, so that its part
is not written and every other one is. `_manifest/failed/PART.json` keeps it for the next run.
"""

import json
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Literal, Self

import pyarrow as pa
from pyarrow import fs

from pipeline.columns import FAILURE, FRAGMENT
from pipeline.errors import PipelineError
from pipeline.fragments import Fragment
from pipeline.output.output_folder import FAILED
from pipeline.storage.atomic_files import delete_file, list_files, put_file, read_file
from pipeline.storage.printable import printable

_NUM_THREADS = 32

Stage = Literal["read", "encode", "annotate", "write"]


@dataclass(frozen=True)
class FragmentFailure:
    """What was to be done with a fragment when it failed, and why it did; no row's text."""

    part_path: str
    input_path: str
    first_row: int
    num_rows: int
    stage: Stage
    reason: str

    @classmethod
    def of(cls, fragment: Fragment, stage: Stage, reason: str) -> Self:
        """The failure of a fragment."""
        return cls(
            part_path=fragment.part_path,
            input_path=fragment.relative_path,
            first_row=fragment.first_row,
            num_rows=fragment.num_rows,
            stage=stage,
            reason=reason,
        )

    def __str__(self) -> str:
        last_row = self.first_row + self.num_rows - 1
        return f"{printable(self.input_path)}: rows {self.first_row} to {last_row} ({self.stage}): {self.reason}"


def reason_of(error: BaseException) -> str:
    """Why a fragment failed, in one line.

    Messages of errors that are not ours can hold a row's text, so that of those only the kind and place are told.
    """
    if isinstance(error, PipelineError):
        return " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {PurePath(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def failure_block(failure: FragmentFailure, fragment: Fragment) -> pa.Table:
    """A failed fragment as a block: one row, which is none of the input."""
    return pa.table({FRAGMENT: [fragment.to_json()], FAILURE: [json.dumps(asdict(failure))]})


def failure_in(table: pa.Table) -> FragmentFailure | None:
    """What a block says of its fragment's failure; None for a block of rows."""
    if FAILURE not in table.column_names:
        return None
    return FragmentFailure(**json.loads(table[FAILURE][0].as_py()))


@dataclass(frozen=True)
class FailureLog:
    """Records of failed fragments in one output folder, `root` on a file system. Holds no state of its own."""

    filesystem: fs.FileSystem
    root: str

    def record(self, failure: FragmentFailure) -> None:
        """Keep a failure, in place of an earlier one of the same fragment. Raises OutputError."""
        text = json.dumps(asdict(failure), indent=1, ensure_ascii=False) + "\n"
        put_file(self.filesystem, self.root, self._relative_path(failure.part_path), text.encode())

    def forget(self, part_path: str) -> None:
        """Remove the record of a fragment that is done by now, if there is one."""
        delete_file(self.filesystem, self.root, self._relative_path(part_path))

    def failures(self) -> dict[str, FragmentFailure]:
        """Failures of earlier runs by part path; a record that is damaged counts for nothing."""
        paths = sorted(path for path, _ in list_files(self.filesystem, self.root, FAILED))
        with ThreadPoolExecutor(_NUM_THREADS) as pool:
            failures = pool.map(self._read, paths)
        return {failure.part_path: failure for failure in failures if failure is not None}

    def _relative_path(self, part_path: str) -> str:
        return f"{FAILED}/{part_path}.json"

    def _read(self, path: str) -> FragmentFailure | None:
        text = read_file(self.filesystem, self.root, path)
        try:
            return FragmentFailure(**json.loads(text or b""))
        except (ValueError, TypeError):
            return None
