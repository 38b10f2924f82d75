from typing import Any

import pyarrow as pa
import pytest

from pipeline.encoding.routes import Routes, route_rows

NAMES = ["topic", "vector", "loss"]


def routes_of(route: pa.Array | pa.ChunkedArray) -> Routes:
    return route_rows(pa.table({"heads": route}), "heads", NAMES)


def test_without_a_route_every_row_gets_every_head() -> None:
    routes = route_rows(pa.table({"heads": ["topic"] * 3}), None, NAMES)
    assert routes.wanted.shape == (3, 3)
    assert routes.wanted.all()
    assert routes.errors == {}


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        (["vector", None, "loss"], pa.string()),
        (["vector", None, "loss"], pa.large_string()),
        (["vector", None, "loss"], pa.dictionary(pa.int32(), pa.string())),
        ([["vector"], None, ["loss", "loss"]], pa.list_(pa.string())),
        ([["vector"], None, ["loss"]], pa.large_list(pa.string())),
        ([["vector"], None, ["loss"]], pa.list_(pa.string(), 1)),
    ],
)
def test_a_row_names_its_heads_and_null_stands_for_all(values: list[Any], type_: pa.DataType) -> None:
    routes = routes_of(pa.chunked_array([pa.array(values[:1], type_), pa.array(values[1:], type_)]))
    assert routes.wanted.tolist() == [[False, True, False], [True, True, True], [False, False, True]]
    assert routes.errors == {}


def test_several_heads_none_and_a_column_of_nulls() -> None:
    routes = routes_of(pa.array([["loss", "topic"], []]))
    assert routes.wanted.tolist() == [[True, False, True], [False, False, False]]
    assert routes.errors == {}
    assert routes_of(pa.nulls(2)).wanted.all()


def test_an_unknown_head_is_the_error_of_its_row_alone() -> None:
    routes = routes_of(pa.array([["topic", "topics"], ["topic"], [""], [None]], pa.list_(pa.string())))
    assert routes.wanted.tolist() == [[False] * 3, [True, False, False], [False] * 3, [False] * 3]
    assert routes.errors == {
        0: "column 'heads' names 'topics', expected names among topic, vector, loss",
        2: "column 'heads' names '', expected names among topic, vector, loss",
        3: "column 'heads' holds a name that is null, expected names of heads",
    }
