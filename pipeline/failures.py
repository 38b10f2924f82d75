"""The failure of a fragment: its rows, the stage, and the reason."""

import traceback
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal, Self

from pipeline.errors import PipelineError
from pipeline.fragments import Fragment
from pipeline.storage.printable import printable

Stage = Literal["read", "encode", "annotate", "write"]


@dataclass(frozen=True)
class FragmentFailure:
    """The failure of a fragment, as it is shown and recorded; contains no text of a row."""

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

    Messages of other libraries may contain a row's text, so only the type and line of their errors are shown.
    """
    if isinstance(error, PipelineError):
        return " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {PurePath(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
