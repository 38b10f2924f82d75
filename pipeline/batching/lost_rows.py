"""Map sequences without a usable result to the rows and heads that lack it, and to error messages."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.batching.sequences import SequenceSet
from pipeline.batching.trunk_passes import TrunkPass
from pipeline.columns import ERROR


def lost_rows(
    sequences: SequenceSet,
    passes: Sequence[TrunkPass],
    wanted: NDArray[np.bool_],
    lost: Mapping[int, str],
    not_finite: Sequence[Mapping[int, str]],
) -> list[dict[int, str]]:
    """For each head, the rows that lack its value because any of their sequences is lost, with the first reason.

    Args:
        wanted: bool `[rows, heads]`.
        lost: by sequence of the fragment, why it has no result at all.
        not_finite: for each head, by sequence, why its result for this head cannot be used.
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
    return rows_of


def row_problems(lost_by_head: Mapping[str, Mapping[int, str]]) -> dict[int, str]:
    """Messages for the error column: by row, each reason with the names of the heads that it concerns."""
    by_row: dict[int, dict[str, list[str]]] = {}
    for name, rows in lost_by_head.items():
        for row, reason in rows.items():
            by_row.setdefault(row, {}).setdefault(reason, []).append(name)
    return {
        row: "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
        for row, reasons in sorted(by_row.items())
    }


def _place(sequences: SequenceSet, passes: Sequence[TrunkPass], sequence: int) -> tuple[TrunkPass, int]:
    """The trunk pass of a sequence, and its row."""
    trunk_pass = passes[int(sequences.trunk_pass[sequence])]
    return trunk_pass, int(sequences.windows_by_spec[trunk_pass.spec].row[sequences.window[sequence]])


def with_problems(table: pa.Table, problems: Mapping[int, str]) -> pa.Table:
    """The rows, with these problems added to their errors."""
    if not problems:
        return table
    errors = table[ERROR].to_pylist()
    for row, problem in problems.items():
        errors[row] = problem if errors[row] is None else f"{errors[row]}; {problem}"
    return table.set_column(table.column_names.index(ERROR), ERROR, pa.array(errors, pa.string()))
