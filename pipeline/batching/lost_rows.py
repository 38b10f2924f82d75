"""Sequences without a result, or without a finite one -> the rows and heads that lack them. Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.batching.sequences import SequenceSet
from pipeline.batching.trunk_passes import TrunkPass
from pipeline.columns import ERROR


@dataclass(frozen=True)
class LostRows:
    """By head number, the rows whose results are not whole; and by row, why."""

    rows_of: list[dict[int, str]]

    def problems(self, head_names: Sequence[str]) -> dict[int, str]:
        """For the error column: by row, each reason with the heads that it concerns, in the order of the heads."""
        by_row: dict[int, dict[str, list[str]]] = {}
        for name, rows in zip(head_names, self.rows_of, strict=True):
            for row, reason in rows.items():
                by_row.setdefault(row, {}).setdefault(reason, []).append(name)
        return {
            row: "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
            for row, reasons in sorted(by_row.items())
        }


def lost_rows(
    sequences: SequenceSet,
    passes: Sequence[TrunkPass],
    wanted: NDArray[np.bool_],
    lost: Mapping[int, str],
    not_finite: Sequence[Mapping[int, str]],
) -> LostRows:
    """Which heads of which rows lack a sequence; a row of several windows lacks a head's value with any of them.

    Args:
        wanted: bool `[rows, heads]`.
        lost: by sequence of the fragment, why there is nothing for it; of a row's the first one counts.
        not_finite: by head number, the same of sequences whose result for this head alone cannot be used.
    """
    rows_of: list[dict[int, str]] = [{} for _ in range(wanted.shape[1])]
    for sequence in sorted(lost):
        trunk_pass, row = _place(sequences, passes, sequence)
        for head in trunk_pass.heads:
            if wanted[row, head]:
                rows_of[head].setdefault(row, lost[sequence])
    for head, reasons in enumerate(not_finite):
        for sequence in sorted(reasons):
            _, row = _place(sequences, passes, sequence)
            rows_of[head].setdefault(row, reasons[sequence])
    return LostRows(rows_of)


def _place(sequences: SequenceSet, passes: Sequence[TrunkPass], sequence: int) -> tuple[TrunkPass, int]:
    """The pass of a sequence, and the row that it is of."""
    trunk_pass = passes[int(sequences.trunk_pass[sequence])]
    return trunk_pass, int(sequences.windows_by_spec[trunk_pass.spec].row[sequences.window[sequence]])


def with_problems(table: pa.Table, problems: Mapping[int, str]) -> pa.Table:
    """The rows with these problems added to their errors."""
    if not problems:
        return table
    errors = table[ERROR].to_pylist()
    for row, problem in problems.items():
        errors[row] = problem if errors[row] is None else f"{errors[row]}; {problem}"
    return table.set_column(table.column_names.index(ERROR), ERROR, pa.array(errors, pa.string()))
