"""How two columns differ, by a loop over their values as Python objects."""

import math
from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jobs.compare.differences import Difference


class Oracle:
    """The figures of `column_differences`, value by value."""

    def __init__(self, name: str, type_: pa.DataType, expected: list[Any], found: list[Any]) -> None:
        self.figures: dict[str, dict[str, Any]] = defaultdict(lambda: defaultdict(float))
        self.rows: dict[str, set[int]] = defaultdict(set)
        self.cosines: dict[str, list[float]] = defaultdict(list)
        self.see_type(name, type_)
        for row, (one, other) in enumerate(zip(expected, found, strict=True)):
            self.compare(name, type_, row, one, other)

    def see_type(self, path: str, type_: pa.DataType) -> None:
        assert self.figures[path] is not None
        if pa.types.is_struct(type_):
            for field in type_:
                self.see_type(f"{path}.{field.name}", field.type)
        elif not self.is_vector(type_) and hasattr(type_, "list_size") | (pa.types.is_nested(type_)):
            self.see_type(f"{path}[]", type_.value_type)

    def is_vector(self, type_: pa.DataType) -> bool:
        return pa.types.is_fixed_size_list(type_) and pa.types.is_primitive(type_.value_type)

    def compare(self, path: str, type_: pa.DataType, row: int, one: Any, other: Any) -> None:
        figures = self.figures[path]
        if (one is None) != (other is None):
            figures["num_one_null"] += 1
            self.rows[path].add(row)
        if one is None or other is None:
            return
        figures["num_compared"] += 1
        if pa.types.is_struct(type_):
            for field in type_:
                self.compare(f"{path}.{field.name}", field.type, row, one[field.name], other[field.name])
        elif self.is_vector(type_) and pa.types.is_uint8(type_.value_type):
            self.count(path, row, one == other)
            figures["num_bits"] += 8 * len(one)
            pairs = zip(one, other, strict=True)
            figures["num_different_bits"] += sum(bin((a or 0) ^ (b or 0)).count("1") for a, b in pairs)
        elif self.is_vector(type_):
            self.vectors(path, row, one, other)
        elif pa.types.is_nested(type_):
            self.count(path, row, len(one) == len(other))
            if len(one) == len(other):
                for a, b in zip(one, other, strict=True):
                    self.compare(f"{path}[]", type_.value_type, row, a, b)
        elif pa.types.is_floating(type_):
            self.numbers(path, row, one, other)
        else:
            self.count(path, row, one == other)

    def count(self, path: str, row: int, is_equal: bool) -> None:
        if not is_equal:
            self.figures[path]["num_different"] += 1
            self.rows[path].add(row)

    def numbers(self, path: str, row: int, one: float, other: float) -> None:
        figures = self.figures[path]
        is_equal = same_number(one, other)
        self.count(path, row, is_equal)
        if math.isfinite(one) and math.isfinite(other):
            figures["num_measured"] += 1
            figures["sum_difference"] += abs(one - other)
            figures["greatest_difference"] = max(figures["greatest_difference"], abs(one - other))
            figures["sum_relative"] += abs(one - other) / (max(abs(one), abs(other)) or 1)
        elif not is_equal:
            figures["num_not_finite"] += 1

    def vectors(self, path: str, row: int, one: list[float | None], other: list[float | None]) -> None:
        figures = self.figures[path]
        is_equal = all(same_number(a, b) for a, b in zip(one, other, strict=True))
        self.count(path, row, is_equal)
        if any(a is None or not math.isfinite(a) for a in [*one, *other]):
            figures["num_not_finite"] += not is_equal
            return
        figures["num_measured"] += 1
        a, b = np.array(one, dtype=float), np.array(other, dtype=float)
        lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
        self.cosines[path].append(1.0 if is_equal else float(a @ b) / lengths if lengths else 0.0)

    def require(self, found: dict[str, Difference]) -> None:
        assert list(found) == [path for path in found if path in self.figures]
        assert set(found) == set(self.figures)
        for path, difference in found.items():
            figures = self.figures[path]
            assert difference.num_different_rows == len(self.rows[path]), path
            for name in (
                "num_compared", "num_one_null", "num_different", "num_not_finite", "num_measured", "num_bits",
                "num_different_bits", "greatest_difference",
            ):  # fmt: skip
                assert getattr(difference, name) == figures[name], (path, name)
            for name in ("sum_difference", "sum_relative"):
                assert getattr(difference, name) == pytest.approx(figures[name]), (path, name)
            assert difference.sum_cosine == pytest.approx(sum(self.cosines[path])), path
            assert difference.least_cosine == pytest.approx(min([1.0, *self.cosines[path]])), path


def same_number(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return one == other or (math.isnan(one) and math.isnan(other))
