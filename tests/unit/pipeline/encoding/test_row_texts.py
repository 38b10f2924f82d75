from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.encoding.row_texts import FragmentTexts, Problem, route_field, text_field, text_list_field

SECRET = "Geheimnis"
TEXT_TYPES = [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()]
BINARY_OF = {
    pa.string(): pa.binary(),
    pa.large_string(): pa.large_binary(),
    pa.string_view(): pa.binary_view(),
    pa.binary(): pa.binary(),
    pa.large_binary(): pa.large_binary(),
    pa.binary_view(): pa.binary_view(),
}
LISTS = [pa.ListArray, pa.LargeListArray, pa.ListViewArray, pa.LargeListViewArray]


def pairs(items: pa.Array, kind: Any) -> pa.Array:
    """Items two by two, a null after the first two."""
    starts = [0, *range(0, len(items) + 1, 2)]
    mask = pa.array([False, True, *[False] * (len(starts) - 3)])
    offset_type = pa.int64() if "Large" in kind.__name__ else pa.int32()
    if "View" not in kind.__name__:
        return kind.from_arrays(pa.array([0, 2, *starts[2:]], offset_type), items, mask=mask)
    offsets = pa.array([0, 2, *starts[2:-1]], offset_type)
    return kind.from_arrays(offsets, pa.array([2] * len(offsets), offset_type), items, mask=mask)


def encoded(values: list[bytes | None], type_: pa.DataType, *, is_dictionary: bool = False) -> pa.Array:
    """Bytes as a column of texts, checked by nobody."""
    array = pa.array(values, BINARY_OF[type_]).view(type_)
    if not is_dictionary:
        return array
    indices = pa.array([None if value is None else i for i, value in enumerate(values)], pa.int32())
    dictionary = pa.array([value or b"" for value in values], BINARY_OF[type_]).view(type_)
    return pa.DictionaryArray.from_arrays(indices, dictionary, safe=False)


def shown(found: list[Any]) -> list[Any]:
    """Values as they are, problems as users see them."""
    return [str(value) if isinstance(value, Problem) else value for value in found]


@pytest.mark.parametrize("is_dictionary", [False, True])
@pytest.mark.parametrize("type_", TEXT_TYPES, ids=str)
def test_texts_of_every_encoding(type_: pa.DataType, is_dictionary: bool) -> None:
    values = ["grün".encode(), None, b"", b" \n", f"{SECRET}".encode() + b"\xff", " ไทย\r\n".encode()]
    column = pa.chunked_array(
        [encoded(part, type_, is_dictionary=is_dictionary) for part in (values[:4], values[4:])]
    )
    found = text_field(pa.table({"text": column}), "text")
    assert shown(found) == [
        "grün",
        "column 'text' is null, expected text",
        "column 'text' is empty, expected text",
        "column 'text' is blank, expected text",
        "column 'text' is not UTF-8 (byte 9), expected text",
        " ไทย\r\n",
    ]
    assert found[1] == Problem("text", "is null", "text")


def test_problems_name_the_path() -> None:
    table = pa.Table.from_pylist([{"doc": {"body": "x"}}, {"doc": None}])
    assert shown(text_field(table, "doc.body")) == ["x", "column 'doc.body' is null, expected text"]
    # As the reader hands it on: the path is the name.
    table = pa.table({"doc.body": ["x", None], "doc": [{"body": "other"}] * 2})
    assert shown(text_field(table, "doc.body")) == ["x", "column 'doc.body' is null, expected text"]


@pytest.mark.parametrize("values", [[1], [[SECRET]], [{"text": SECRET}]])
def test_a_wrong_type_is_a_problem_of_every_row(values: list[Any]) -> None:
    [problem] = text_field(pa.table({"text": values}), "text")
    assert str(problem).startswith("column 'text' has type ")
    assert SECRET not in str(problem)


def test_columns_of_nulls() -> None:
    table = pa.table({"x": pa.nulls(2), "y": pa.array([[None], []], pa.list_(pa.null()))})
    assert {str(p) for p in text_field(table, "x")} == {"column 'x' is null, expected text"}
    assert {str(p) for p in text_list_field(table, "x")} == {"column 'x' is null, expected a list of texts"}
    assert shown(text_list_field(table, "y")) == [
        "column 'y' is null at index 0, expected a list of texts",
        "column 'y' is an empty list, expected a list of texts",
    ]
    assert route_field(table, "x") == [None, None]


@pytest.mark.parametrize("is_dictionary", [False, True])
@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("type_", TEXT_TYPES, ids=str)
def test_lists_of_texts_of_every_encoding(type_: pa.DataType, kind: Any, is_dictionary: bool) -> None:
    items = [b"a", "ü".encode(), b"b", None, b"c", b"", b"d", b" ", b"e", SECRET.encode() + b"\xff"]
    table = pa.table({"w": pairs(encoded(items, type_, is_dictionary=is_dictionary), kind)})
    expected = [
        ["a", "ü"],
        "column 'w' is null, expected a list of texts",
        "column 'w' is null at index 1, expected a list of texts",
        "column 'w' is empty at index 1, expected a list of texts",
        "column 'w' is blank at index 1, expected a list of texts",
        "column 'w' is not UTF-8 (byte 9) at index 1, expected a list of texts",
    ]
    assert shown(text_list_field(table, "w")) == expected
    assert shown(text_list_field(table[2:], "w")) == expected[2:]
    lenient = shown(text_list_field(table, "w", allow_blank=True))
    assert lenient == [*expected[:3], ["c", ""], ["d", " "], expected[5]]


def test_lists_of_a_fixed_size() -> None:
    column = pa.array([["a", "b"], None, ["c", None]], pa.list_(pa.string(), 2))
    assert shown(text_list_field(pa.table({"w": column}), "w")) == [
        ["a", "b"],
        "column 'w' is null, expected a list of texts",
        "column 'w' is null at index 1, expected a list of texts",
    ]


@pytest.mark.parametrize("values", [[SECRET], [[1]], [[[SECRET]]], [[{"text": SECRET}]]])
def test_lists_of_a_wrong_type(values: list[Any]) -> None:
    [problem] = text_list_field(pa.table({"w": values}), "w")
    assert str(problem).startswith("column 'w' has type ")
    assert str(problem).endswith(", expected list<string>")
    assert SECRET not in str(problem)


def test_lists_of_structs_and_structs_of_lists() -> None:
    rows = [{"c": [{"text": "a"}, {"text": "b"}], "s": {"text": ["a", "b"]}}, {"c": [None], "s": None}]
    table = pa.Table.from_pylist(rows)
    assert shown(text_list_field(table, "c.text")) == [
        ["a", "b"],
        "column 'c.text' is null at index 0, expected a list of texts",
    ]
    assert shown(text_list_field(table, "s.text")) == [
        ["a", "b"],
        "column 's.text' is null, expected a list of texts",
    ]


def test_several_columns_are_a_list() -> None:
    table = pa.table({"a": ["x", None, "y"], "b": ["z", "", " "]})
    assert shown(FragmentTexts(table).text_columns(["a", "b"])) == [
        ["x", "z"],
        "column 'a' is null, expected text",
        "column 'b' is blank, expected text",
    ]


@pytest.mark.parametrize("is_dictionary", [False, True])
@pytest.mark.parametrize("type_", TEXT_TYPES[:3], ids=str)
def test_routes(type_: pa.DataType, is_dictionary: bool) -> None:
    names = encoded([b"topic", None, b"", b"\xff"], type_, is_dictionary=is_dictionary)
    assert shown(route_field(pa.table({"r": names}), "r")) == [
        ["topic"],
        None,
        [""],
        "column 'r' holds a name that is not UTF-8 (byte 0), expected names of heads",
    ]
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2, 2], pa.int32()), names)
    assert shown(route_field(pa.table({"r": lists}), "r")) == [
        ["topic"],
        "column 'r' holds a name that is null, expected names of heads",
        [],
    ]
    assert route_field(pa.table({"r": pa.array([[], None], pa.large_list(type_))}), "r") == [[], None]


def test_missing_columns() -> None:
    for read in (text_field, text_list_field, route_field):
        with pytest.raises(KeyError, match=r"doc\.x"):
            read(pa.table({"doc": [{"y": 1}]}), "doc.x")


TEXTS = st.none() | st.text(max_size=3) | st.sampled_from(["", " ", "\u3000\n", "\u200b"])


@given(st.lists(st.none() | st.lists(TEXTS, max_size=4), max_size=6), st.booleans(), st.data())
def test_nothing_is_lost_or_moved(
    lists: list[list[str | None] | None], is_large: bool, data: st.DataObject
) -> None:
    type_ = pa.large_list(pa.large_string()) if is_large else pa.list_(pa.string())
    table = pa.table({"doc": pa.array([{"w": row} for row in lists], pa.struct([("w", type_)]))})
    first = data.draw(st.integers(0, len(lists)))
    found = text_list_field(table[first:], "doc.w")
    assert len(found) == len(lists) - first
    for row, value in zip(lists[first:], found, strict=True):
        if row and all(text is not None and text.strip() for text in row):
            assert value == row
        else:
            assert isinstance(value, Problem)
    flat = [text for row in lists for text in row or []]
    texts = text_field(pa.table({"t": pa.array(flat, pa.string())}), "t")
    for text, found_text in zip(flat, texts, strict=True):
        assert found_text == text if text and text.strip() else isinstance(found_text, Problem)


def test_blank_texts_may_be_allowed() -> None:
    """Null and broken texts are not."""
    table = pa.table({"x": encoded([b"", b" \n", b"a", None, b"\xff"], pa.string())})
    assert [isinstance(value, Problem) for value in text_field(table, "x")] == [True, True, False, True, True]
    allowed = text_field(table, "x", allow_blank=True)
    assert allowed[:3] == ["", " \n", "a"]
    assert [str(value) for value in allowed[3:]] == [str(value) for value in text_field(table, "x")[3:]]
