"""A column of labels as what a head is to predict."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.fit.fitted_head import Problem
from jobs.fit.labels.targets import Targets
from jobs.fit.settings import FitHead
from pipeline.arrays.column_types import plain_type
from pipeline.arrays.nested_columns import is_list_like
from pipeline.errors import InputError

_NAMED: dict[str, Problem] = {"single-label": "single", "multi-label": "multi_label", "regression": "regression"}
_OF_TEXTS = (
    "string, an integer type or bool (one label), list<string> (several labels) or a floating-point type "
    "(a number to predict)"
)
_OF_WORDS = "list<string>, a label for each word"


def problem_of(type_: pa.DataType, head: FitHead, field: str) -> Problem:
    """What is predicted, by the type of the label column, or as the head says.

    Raises InputError, which begins with `field`, for a type that it cannot be made of.
    """
    plain = plain_type(type_)
    is_list = is_list_like(type_)
    item = plain_type(type_.value_type) if is_list else plain
    is_name = item == pa.string() or pa.types.is_integer(item) or pa.types.is_boolean(item)
    is_number = pa.types.is_integer(item) or pa.types.is_floating(item)
    if head.task == "token-classification":
        if is_list and is_name:
            return "single"
        raise _wrong_type(field, head, type_, _OF_WORDS)
    found: Problem | None = None
    if is_list:
        found = "multi_label" if is_name else None
    elif is_name:
        found = "single"
    elif is_number:
        found = "regression"
    named = found if head.problem is None else _NAMED[head.problem]
    fits = named == found or (named == "regression" and is_number and not is_list)
    if found is None or named is None or not fits:
        expected = _OF_TEXTS if head.problem is None else f"one that {head.problem} can be made of: {_OF_TEXTS}"
        raise _wrong_type(field, head, type_, expected)
    return named


def _wrong_type(field: str, head: FitHead, type_: pa.DataType, expected: str) -> InputError:
    return InputError(
        f"{field}: column {head.label!r} has type {type_}, expected {expected}; name another column, or cast it"
    )


def targets_of(values: Sequence[Any], problem: Problem) -> Targets:
    """The targets of labels as Python values, None where there is none.

    Labels are named as they are written, in the order of strings, or of integers.
    """
    if problem == "regression":
        numbers = [np.nan if value is None else float(value) for value in values]
        return Targets(problem, ("value",), np.array(numbers, dtype=np.float64))
    if problem == "single":
        names = _sorted({value for value in values if value is not None})
        places = {name: place for place, name in enumerate(names)}
        found = np.array([-1 if value is None else places[value] for value in values], dtype=np.int64)
        return Targets(problem, tuple(map(str, names)), found)
    known = [None if value is None or None in value else value for value in values]
    names = _sorted({name for value in known if value is not None for name in value})
    places = {name: place for place, name in enumerate(names)}
    holds = np.zeros((len(known), len(names)), dtype=np.int8)
    for row, value in enumerate(known):
        if value is None:
            holds[row] = -1
        else:
            holds[row, [places[name] for name in value]] = 1
    return Targets(problem, tuple(map(str, names)), holds)


def require_variety(targets: Targets, field: str, head: FitHead) -> None:
    """Raise InputError where there is nothing to tell apart."""
    known = targets.values[targets.is_known]
    if not len(known):
        raise InputError(
            f"{field}: column {head.label!r} has no label in any of {len(targets.values):,} rows, expected two "
            "or more different ones; name another column, or fill it in"
        )
    if targets.problem == "regression":
        num, what = len(np.unique(known)), "value"
    elif targets.problem == "single":
        num, what = len(np.unique(known)), "label"
    else:
        # Of several labels, one is enough if some rows lack it.
        num, what = (2 if known.size and len(np.unique(known)) > 1 else min(len(targets.names), 1)), "label"
    if num < 2:
        raise InputError(
            f"{field}: column {head.label!r} has {num} {what}{'s' * (num != 1)} in {len(known):,} rows with one, "
            "expected two or more; name another column, or give more rows"
        )


def _sorted(names: set[Any]) -> list[Any]:
    return sorted(names, key=lambda name: (isinstance(name, str), name))
