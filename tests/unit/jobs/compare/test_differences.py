"""Figures of whole arrays against a loop over values, and each figure against what it must be by hand."""

import datetime
import decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from jobs.compare import differences
from jobs.compare.differences import Difference, column_differences
from pipeline.errors import InputError
from pipeline.tasks.all_tasks import HEAD_SECTIONS, TASKS, HeadConfig
from pipeline.tasks.text_classification import ProblemType, TextClassificationHead
from tests.comet_checkpoints import converted_options
from tests.unit.jobs.compare.differences_oracle import Oracle
from tests.unit.jobs.compare.nested_arrays import TYPES, columns_of
from tests.unit.pipeline.compute_fixtures import tiny_config

NAN, INFINITY = float("nan"), float("inf")


def compared(expected: list[Any], found: list[Any], type_: pa.DataType) -> dict[str, Difference]:
    return column_differences(
        "c", pa.chunked_array([pa.array(expected, type_)]), pa.chunked_array([pa.array(found, type_)])
    )


def only(expected: list[Any], found: list[Any], type_: pa.DataType) -> Difference:
    (difference,) = compared(expected, found, type_).values()
    return difference


@given(st.data())
def test_figures_are_those_of_a_loop_over_the_values(data: st.DataObject) -> None:
    type_ = data.draw(TYPES)
    num_rows = data.draw(st.integers(0, 6))
    expected, found = (data.draw(columns_of(type_, num_rows)) for _ in range(2))
    oracle = Oracle("c", type_, expected.to_pylist(), found.to_pylist())
    oracle.require(column_differences("c", expected, found))


@given(st.data())
def test_figures_of_parts_add_up(data: st.DataObject) -> None:
    type_ = data.draw(TYPES)
    expected, found = (data.draw(columns_of(type_, 5)) for _ in range(2))
    cut = data.draw(st.integers(0, 5))
    parts = [column_differences("c", expected[a:b], found[a:b]) for a, b in ((0, cut), (cut, 5))]
    for path, whole in column_differences("c", expected, found).items():
        total = parts[0][path] + parts[1][path]
        assert total.kind == whole.kind
        for name, value in vars(whole).items():
            if name != "kind":
                assert getattr(total, name) == pytest.approx(value), (path, name)


def task_types() -> list[tuple[str, pa.DataType]]:
    """The type of every task, with the options that change it."""
    problems: tuple[ProblemType, ...] = ("single_label_classification", "multi_label_classification", "regression")
    classifier = TextClassificationHead(task="text-classification")
    types = [(p, TASKS[classifier.task].output_type(classifier, tiny_config(problem_type=p))) for p in problems]
    options: list[dict[str, Any]] = [
        {"task": task} | ({"labels": ["a"]} if task.startswith("zero") else {}) for task in HEAD_SECTIONS
    ]
    options += [{"task": "token-classification", "words": "words"}]
    options += [{"task": "embedding", "dtype": dtype} for dtype in ("float16", "int8", "ubinary")]
    options += [{"task": "embedding", "level": "token", "dtype": dtype} for dtype in ("float32", "ubinary")]
    for values in options:
        head: HeadConfig = TypeAdapter(HeadConfig).validate_python(values)
        config = tiny_config(hidden_size=16, comet=converted_options("xcomet"))
        types.append((str(values), TASKS[head.task].output_type(head, config)))
    return types


@pytest.mark.parametrize(("name", "type_"), task_types())
@given(data=st.data())
def test_a_column_of_any_task_is_equal_to_itself(name: str, type_: pa.DataType, data: st.DataObject) -> None:
    column = data.draw(columns_of(type_, 3))
    found = column_differences("c", column, column)
    assert all(difference.is_equal for difference in found.values())
    Oracle("c", type_, column.to_pylist(), column.to_pylist()).require(found)


def test_every_leaf_has_a_path() -> None:
    entities = [[{"entity": "A", "start": 0}], []]
    type_ = pa.list_(pa.struct([("entity", pa.string()), ("start", pa.int32())]))
    found = compared(entities, entities, type_)
    assert {path: difference.kind for path, difference in found.items()} == {
        "c": "list", "c[]": "struct", "c[].entity": "value", "c[].start": "value",
    }  # fmt: skip


def test_numbers_by_hand() -> None:
    difference = only([1.0, 2.0, 0.0, 0.0, -1.0], [1.0, 3.0, 0.0, 4.0, 1.0], pa.float64())
    assert difference == Difference(
        "number", num_compared=5, num_different=3, num_different_rows=3, num_measured=5, sum_difference=7.0,
        greatest_difference=4.0, sum_relative=1 / 3 + 1 + 2,
    )  # fmt: skip


def test_nans_and_infinities() -> None:
    expected = [NAN, INFINITY, INFINITY, 1.0, NAN, 1.0]
    found = [NAN, INFINITY, -INFINITY, NAN, INFINITY, 1.5]
    difference = only(expected, found, pa.float32())
    assert (difference.num_different, difference.num_not_finite, difference.num_measured) == (4, 3, 1)
    assert difference.sum_difference == difference.greatest_difference == 0.5


def test_numbers_so_far_apart_that_their_difference_is_infinite() -> None:
    difference = only([1.7e308], [-1.7e308], pa.float64())
    assert (difference.num_different, difference.num_not_finite, difference.num_measured) == (1, 1, 0)


def test_vectors_by_hand() -> None:
    expected = [[1, 0], [1, 0], [3, 4], [0, 0], [0, 0]]
    found = [[0, 1], [-2, 0], [3, 4], [0, 0], [1, 0]]
    difference = only(expected, found, pa.list_(pa.float32(), 2))
    assert (difference.num_compared, difference.num_different, difference.num_measured) == (5, 3, 5)
    assert difference.sum_cosine == 0 - 1 + 1 + 1 + 0
    assert difference.least_cosine == -1


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e170, 1e300])
def test_cosines_of_tiny_and_huge_vectors(scale: float) -> None:
    difference = only([[scale, 0.0]], [[3 * scale, 4 * scale]], pa.list_(pa.float64(), 2))
    assert difference.least_cosine == pytest.approx(0.6)


def test_vectors_are_compared_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).normal(size=(2, 11, 4)).tolist()
    for type_ in (pa.list_(pa.float32(), 4), pa.list_(pa.list_(pa.float32(), 4), 11)):
        sides = [side if type_.list_size == 4 else [side] for side in vectors]
        whole = list(compared(*sides, type_).values())[-1]
        monkeypatch.setattr(differences, "_BLOCK_SIZE", 12)
        pieces = list(compared(*sides, type_).values())[-1]
        monkeypatch.undo()
        assert pieces.num_compared == whole.num_compared == pieces.num_different == pieces.num_measured == 11
        assert pieces.least_cosine == whole.least_cosine
        assert pieces.sum_cosine == pytest.approx(whole.sum_cosine)


@pytest.mark.parametrize("type_", [pa.float16(), pa.float64(), pa.int8()])
def test_vectors_of_other_numbers_are_compared(type_: pa.DataType) -> None:
    expected = pa.chunked_array([pa.array([[127.0, 0.0], [3.0, 4.0]], pa.list_(pa.float32(), 2))])
    found = pa.chunked_array([pa.array([[127, 0], [4, 3]], pa.list_(type_, 2))])
    (difference,) = column_differences("c", expected, found).values()
    assert (difference.num_compared, difference.num_different) == (2, 1)
    assert difference.sum_cosine == pytest.approx(1 + 24 / 25)


def test_bits_by_hand() -> None:
    difference = only([[0b1010, 255], [0, 0]], [[0b0110, 255], [0, 0]], pa.list_(pa.uint8(), 2))
    assert difference == Difference(
        "bits", num_compared=2, num_different=1, num_different_rows=1, num_bits=32, num_different_bits=2
    )


def test_values_below_a_null_do_not_count() -> None:
    # What lies below a null may be anything: here it differs.
    type_ = pa.struct([("x", pa.int64())])
    sides = [
        pa.StructArray.from_arrays([pa.array([1, number])], fields=list(type_), mask=pa.array([False, True]))
        for number in (2, 3)
    ]
    found = column_differences("c", *(pa.chunked_array([side]) for side in sides))
    assert found["c"] == Difference("struct", num_compared=1)
    assert found["c.x"] == Difference("value", num_compared=1)
    mask = pa.array([False, True, False])
    lists = [pa.ListArray.from_arrays([0, 1, 2, 3], [1, number, 3], mask=mask) for number in (2, 9)]
    found = column_differences("c", *(pa.chunked_array([side]) for side in lists))
    assert found["c[]"] == Difference("value", num_compared=2)


def test_items_of_lists_of_other_lengths_are_not_compared() -> None:
    found = compared([["a", "b"], ["a", "b"], None, []], [["a"], ["a", "c"], [], None], pa.list_(pa.string()))
    assert found["c"] == Difference("list", num_compared=2, num_one_null=2, num_different=1, num_different_rows=3)
    assert found["c[]"] == Difference("value", num_compared=2, num_different=1, num_different_rows=1)


def test_rows_with_many_differences_are_told_from_many_rows() -> None:
    found = compared([["a", "b", "c"], ["x"], ["y"]], [["b", "c", "d"], ["x"], ["z"]], pa.list_(pa.string()))
    assert (found["c[]"].num_different, found["c[]"].num_different_rows) == (4, 2)


@pytest.mark.parametrize(
    ("type_", "one", "other"),
    [
        (pa.string_view(), "a", "b"),
        (pa.large_string(), "a", "b"),
        (pa.dictionary(pa.int32(), pa.large_string()), "a", "b"),
        (pa.binary(), b"\xff", b"\xfe"),
        (pa.binary(2), b"ab", b"ac"),
        (pa.timestamp("us", "UTC"), datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 2)),
        (pa.date32(), datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)),
        (pa.decimal128(9, 2), decimal.Decimal("1.10"), decimal.Decimal("1.20")),
        (pa.int64(), 2**62, 2**62 + 1),
    ],
    ids=str,
)
def test_other_values_are_equal_or_not(type_: pa.DataType, one: Any, other: Any) -> None:
    expected = Difference("value", num_compared=2, num_one_null=1, num_different=1, num_different_rows=2)
    assert only([one, one, None, None], [one, other, one, None], type_) == expected
    struct = pa.struct([("x", pa.list_(type_))])
    rows = [[{"x": [value]} for value in side] for side in ([one, one, None, None], [one, other, one, None])]
    assert compared(*rows, struct)["c.x[]"] == expected


def test_values_of_an_extension_type_are_those_it_is_stored_as() -> None:
    assert only([b"a" * 16, None], [b"b" * 16, None], pa.uuid()).num_different == 1


def test_maps_are_lists_of_entries() -> None:
    type_ = pa.map_(pa.string(), pa.float32())
    found = compared([[("a", 1.0)], None, []], [[("a", 1.5)], [("b", 0.0)], []], type_)
    assert found["c"] == Difference("list", num_compared=2, num_one_null=1, num_different_rows=1)
    assert found["c[].key"].is_equal
    assert found["c[].value"].sum_difference == 0.5


@pytest.mark.parametrize("view", [pa.list_view(pa.string()), pa.large_list_view(pa.string_view())])
def test_list_views(view: pa.DataType) -> None:
    found = compared([["a"], None, ["b", "c"]], [["a"], ["b"], ["b", "d"]], view)
    assert (found["c"].num_compared, found["c"].num_one_null, found["c[]"].num_different) == (2, 1, 1)


def test_encodings_need_not_be_the_same() -> None:
    expected = pa.chunked_array([pa.array(["a", "b", None]).dictionary_encode()])
    found = pa.chunked_array([pa.array(["a", "c", None], pa.large_string())])
    (difference,) = column_differences("c", expected, found).values()
    assert (difference.num_compared, difference.num_different, difference.num_one_null) == (2, 1, 0)


@pytest.mark.parametrize(
    ("expected", "found", "path"),
    [
        (pa.int32(), pa.int64(), "c"),
        (pa.float32(), pa.float64(), "c"),
        (pa.string(), pa.list_(pa.string()), "c"),
        (pa.list_(pa.float32(), 2), pa.list_(pa.float32(), 3), "c"),
        (pa.list_(pa.float32(), 2), pa.list_(pa.uint8(), 2), "c"),
        (pa.list_(pa.float32(), 2), pa.list_(pa.list_(pa.float32(), 2)), "c"),
        (pa.struct([("value", pa.float32())]), pa.struct([("label", pa.string())]), "c"),
        (pa.list_(pa.struct([("x", pa.int8())])), pa.list_(pa.struct([("x", pa.bool_())])), "c[].x"),
        (pa.map_(pa.string(), pa.int8()), pa.map_(pa.string(), pa.string()), "c[].value"),
    ],
    ids=str,
)
def test_other_types_are_refused(expected: pa.DataType, found: pa.DataType, path: str) -> None:
    columns = (pa.chunked_array([], type_) for type_ in (expected, found))
    with pytest.raises(InputError, match=r"found type .*, expected .*; compare outputs") as refused:
        column_differences("c", *columns)
    assert str(refused.value).startswith(f"column {path}: ")
