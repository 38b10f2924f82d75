"""Read predictions beside the examples that they are for."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.evaluate.annotation import PREDICTION
from jobs.evaluate.examples import GOLD, ROW
from jobs.evaluate.folder import INPUTS, EvaluationFolder
from pipeline.columns import ERROR, NUM_TOKENS
from pipeline.errors import InputError
from pipeline.storage.printable import printable

NOT_ANNOTATED = "its fragment failed"


@dataclass(frozen=True)
class Predictions:
    """Examples, and for each its prediction (null where it failed), why it failed, and its number of tokens."""

    examples: pa.Table
    prediction: pa.Array
    error: pa.Array
    num_tokens: pa.Array

    @property
    def with_gold(self) -> "Predictions":
        """Those that have a gold."""
        return self.where(pc.is_valid(self.examples[GOLD].combine_chunks()))

    def where(self, mask: pa.Array) -> "Predictions":
        """Those for which the mask is true."""
        return Predictions(
            self.examples.filter(mask),
            self.prediction.filter(mask),
            self.error.filter(mask),
            self.num_tokens.filter(mask),
        )

    def field(self, name: str) -> list[Any]:
        """A field of each prediction; None where it failed."""
        if self.prediction.null_count == len(self.prediction):
            return [None] * len(self.prediction)
        values: list[Any] = pc.struct_field(self.prediction, name).to_pylist()
        return values

    @property
    def row_numbers(self) -> list[int]:
        """The number of each row in the benchmark's files."""
        numbers: list[int] = self.examples[ROW].to_pylist()
        return numbers

    @property
    def failed(self) -> list[tuple[int, str]]:
        """Row number and reason of each row without a prediction."""
        mask = pc.is_null(self.prediction)
        reasons = pc.fill_null(self.error.filter(mask), "it has no prediction")
        rows = self.examples[ROW].combine_chunks().filter(mask)
        return list(zip(rows.to_pylist(), reasons.to_pylist(), strict=True))


def read_predictions(folder: EvaluationFolder, task: str, subset: str, sha256: str) -> Predictions:
    """The predictions for a subset. Raises InputError if its examples are not those that were recorded."""
    examples = folder.examples(task, subset, sha256)
    if examples is None:
        raise InputError(
            f"--output: found other examples of {task} {printable(subset)} in {folder.name}, or none, expected "
            f"those of its last finished run in {INPUTS}/; run the evaluation again with its model: what is "
            "annotated stays"
        )
    return aligned(examples, folder.parts(task, subset))


def aligned(examples: pa.Table, parts: Iterable[pa.Table]) -> Predictions:
    """The predictions of parts, put beside the examples by their row numbers.

    Parts that hold other examples, of an earlier version that could not be replaced, are left out.
    """
    rows = examples[ROW].to_numpy()
    kept = []
    for part in parts:
        place = np.searchsorted(rows, part[ROW].to_numpy())
        is_there = place < len(rows)
        if is_there.all() and examples.take(place).equals(part.select(examples.column_names)):
            kept.append((place, part))
    # By place of the example, that of its prediction; null where there is none.
    source = np.full(len(rows), -1, dtype=np.int64)
    places = np.concatenate([np.zeros(0, np.int64), *(place for place, _ in kept)])
    source[places] = np.arange(len(places))
    index = pa.array(source, mask=source < 0)
    if not kept:
        nothing = pa.nulls(len(rows))
        reason = pa.array([NOT_ANNOTATED] * len(rows), pa.string())
        return Predictions(examples, nothing, reason, pa.nulls(len(rows), pa.int32()))
    table = pa.concat_tables(part.select([PREDICTION, ERROR, NUM_TOKENS]) for _, part in kept)
    taken = table.take(index).combine_chunks()
    error = pc.if_else(pa.array(source < 0), NOT_ANNOTATED, taken[ERROR].combine_chunks())
    return Predictions(examples, _array(taken[PREDICTION]), _array(error), _array(taken[NUM_TOKENS]))


def _array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
