"""Label columns of any type as targets, and what is refused."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jobs.fit.labels.label_columns import problem_of, require_variety, targets_of
from jobs.fit.settings import FitHead
from pipeline.errors import InputError

NAN = float("nan")


def head(**options: Any) -> FitHead:
    return FitHead(label="y", **options)


@pytest.mark.parametrize(
    ("type_", "options", "expected"),
    [
        (pa.string(), {}, "single"),
        (pa.dictionary(pa.int8(), pa.large_string()), {}, "single"),
        (pa.int64(), {}, "single"),
        (pa.bool_(), {}, "single"),
        (pa.float32(), {}, "regression"),
        (pa.int32(), {"problem": "regression"}, "regression"),
        (pa.list_(pa.string()), {}, "multi_label"),
        (pa.large_list(pa.int64()), {"problem": "multi-label"}, "multi_label"),
        (pa.list_(pa.string()), {"task": "token-classification"}, "single"),
    ],
)
def test_the_problem_follows_from_the_type(type_: pa.DataType, options: dict[str, Any], expected: str) -> None:
    assert problem_of(type_, head(**options), "heads.x.label") == expected


@pytest.mark.parametrize(
    ("type_", "options"),
    [
        (pa.binary(), {}),
        (pa.struct({"a": pa.int8()}), {}),
        (pa.list_(pa.float32()), {}),
        (pa.string(), {"problem": "multi-label"}),
        (pa.string(), {"problem": "regression"}),
        (pa.float64(), {"problem": "single-label"}),
        (pa.string(), {"task": "token-classification"}),
    ],
)
def test_other_types_are_refused(type_: pa.DataType, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^heads\.x\.label: column 'y' has type .*, expected .*; name another"):
        problem_of(type_, head(**options), "heads.x.label")


def test_labels_are_sorted_and_null_is_unknown() -> None:
    found = targets_of(["b", None, "a", "b"], "single")
    assert found.names == ("a", "b")
    assert found.values.tolist() == [1, -1, 0, 1]
    assert targets_of([10, 9, None], "single").names == ("9", "10")
    assert targets_of([True, False], "single").names == ("False", "True")


def test_several_labels_of_a_row() -> None:
    found = targets_of([["b"], [], None, ["a", "b"], ["a", None]], "multi_label")
    assert found.names == ("a", "b")
    assert found.values.tolist() == [[0, 1], [0, 0], [-1, -1], [1, 1], [-1, -1]]


def test_numbers_to_predict() -> None:
    found = targets_of([1, None, 2.5, NAN], "regression")
    assert found.is_known.tolist() == [True, False, True, False]
    assert np.nansum(found.values) == 3.5


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (["a", "a", None], "single"),
        ([None, None], "single"),
        ([1.0, 1.0], "regression"),
        ([["a"], ["a"]], "multi_label"),
        ([[], []], "multi_label"),
    ],
)
def test_one_label_alone_is_refused(values: list[Any], problem: Any) -> None:
    with pytest.raises(
        InputError, match=r"^heads\.x\.label: column 'y' has (no|[01]) \w+ in .* expected two or more"
    ):
        require_variety(targets_of(values, problem), "heads.x.label", head())


@pytest.mark.parametrize(
    ("values", "problem"),
    [(["a", "b"], "single"), ([1.0, 2.0], "regression"), ([["a"], []], "multi_label")],
)
def test_two_do(values: list[Any], problem: Any) -> None:
    require_variety(targets_of(values, problem), "heads.x.label", head())
