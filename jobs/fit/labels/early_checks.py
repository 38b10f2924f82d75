"""What can be told of the labels before features are computed, which may take hours."""

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from jobs.fit.labels.label_columns import problem_of, require_variety, targets_of
from jobs.fit.labels.split_column import named_parts
from jobs.fit.labels.splits import PARTS
from jobs.fit.settings import FitHead, FitSettings
from pipeline.errors import FragmentError, InputError

if TYPE_CHECKING:
    from pipeline.input.planning import Plan


def check_labels(settings: FitSettings, plan: "Plan") -> None:
    """Raise InputError for files that cannot be read, and labels or parts that no head can be fitted to."""
    if plan.failed_files:
        first = plan.failed_files[0]
        raise InputError(
            f"input.path: {first.relative_path} cannot be read: {first.reason}; take it away, or correct it"
        )
    if not plan.num_rows:
        raise InputError("input.path: found no rows, expected rows with labels; name other files")
    if settings.input.split is not None:
        named_parts(list(_values(plan, plan.carried_schema.field(settings.input.split))))
    for name, head in settings.heads.items():
        field = f"heads.{name}.label"
        column = plan.carried_schema.field(head.label)
        problem = problem_of(column.type, head, field)
        values: Iterable[Any] = _values(plan, column)
        if head.task == "token-classification":
            values = chain.from_iterable(value for value in values if value is not None)
        known = list(values)
        targets = targets_of(known, problem)
        require_variety(targets, field, head)
        if problem == "regression":
            _require_enough_numbers(int(targets.is_known.sum()), head, field)
        else:
            _require_enough(known, head, field)


def _values(plan: "Plan", column: pa.Field) -> Iterable[Any]:
    from pipeline.driver.row_selection import first_rows, read_rows  # noqa: PLC0415

    for table in read_rows(first_rows(plan.fragments, plan.num_rows), pa.schema([column]), plan.filesystem):
        if isinstance(table, FragmentError):
            raise InputError(f"input.path: {table}; take the file away, or correct it")
        yield from table.column(0).to_pylist()


def _require_enough_numbers(count: int, head: FitHead, field: str) -> None:
    needed = head.min_rows * len(PARTS)
    if count < needed:
        raise InputError(
            f"{field}: column {head.label!r} has {count:,} rows with a number, expected {needed:,} at least, "
            f"{head.min_rows:,} in each of {', '.join(PARTS)}; give more rows, or lower min_rows"
        )


def _require_enough(values: list[Any], head: FitHead, field: str) -> None:
    """Each label needs `min_rows` rows in each part."""
    labels = chain.from_iterable(
        value if isinstance(value, list) else [value] for value in values if value is not None
    )
    for label, count in sorted(Counter(labels).items(), key=lambda item: item[1]):
        needed = head.min_rows * len(PARTS)
        if label is not None and count < needed:
            raise InputError(
                f"{field}: label {str(label)!r} has {count} rows, expected {needed} at least, {head.min_rows} "
                f"in each of {', '.join(PARTS)}; give more rows of it, set the label to null, or lower min_rows"
            )
