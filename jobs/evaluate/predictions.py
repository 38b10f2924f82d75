"""Read predictions beside the examples that they are for."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.evaluate.annotation import PREDICTION
from jobs.evaluate.examples import GOLD, ROW
from jobs.evaluate.folder import EvaluationFolder
from pipeline.columns import ERROR, NUM_TOKENS
from pipeline.errors import InputError

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


def read_predictions(folder: EvaluationFolder, task: str, subset: str) -> Predictions:
    """The predictions for a subset. Raises InputError if its examples are gone."""
    examples = folder.examples(task, subset)
    if examples is None:
        raise InputError(
            f"--output: {folder.name} has lost the examples of {task} {subset}, expected them in _inputs/; "
            "run the evaluation again with its model: what is annotated stays"
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
