import io
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.arrays.nested_columns import (
    all_paths,
    column_at,
    find_path,
    leaf_indices,
    nearest_parent,
    path_field,
    path_type,
)

NAMES = ["a", "b", "a.b", "b.a", "a.b.a", ""]


def test_a_name_with_a_dot_wins_over_a_path() -> None:
    rows = [{"doc": {"body": "nested"}, "doc.body": "own"}]
    assert column_at(pa.Table.from_pylist(rows), "doc.body").to_pylist() == ["own"]
    rows = [{"a": {"b.c": "short first"}, "a.b": {"c": "long first"}}]
    assert column_at(pa.Table.from_pylist(rows), "a.b.c").to_pylist() == ["long first"]
    rows = [{"a": {"b.c": "the only one"}, "a.b": {"d": "other"}}]
    assert column_at(pa.Table.from_pylist(rows), "a.b.c").to_pylist() == ["the only one"]


def test_a_null_above_makes_a_null() -> None:
    rows = [{"doc": {"meta": {"title": "x"}}}, {"doc": None}, {"doc": {"meta": None}}]
    table = pa.Table.from_pylist(rows)
    assert column_at(table, "doc.meta.title").to_pylist() == ["x", None, None]
    masked = pa.StructArray.from_arrays([pa.array(["hidden", "x"])], ["body"], mask=pa.array([True, False]))
    assert column_at(pa.table({"doc": masked}), "doc.body").to_pylist() == [None, "x"]


@pytest.mark.parametrize(
    "kind", [pa.list_, pa.large_list, pa.list_view, pa.large_list_view, lambda item: pa.list_(item, 2)]
)
def test_paths_lead_through_lists(kind: Any) -> None:
    item = pa.struct([("text", pa.string()), ("label", pa.string())])
    lists = [
        [{"text": "a", "label": "A"}, None],
        None,
        [{"text": "b", "label": "B"}, {"text": None, "label": "C"}],
    ]
    table = pa.table({"choices": pa.array(lists, kind(item))})
    for part, expected in (
        (table, [["a", None], None, ["b", None]]),
        (table[1:], [None, ["b", None]]),
        (pa.concat_tables([table[:1], table[2:]]), [["a", None], ["b", None]]),
    ):
        found = column_at(part, "choices.text")
        found.validate(full=True)
        assert found.to_pylist() == expected
        steps = find_path(part.schema, "choices.text")
        assert steps == (0, 0)
        assert found.type == path_type(part.schema, steps)


def test_a_column_of_nulls_has_every_field() -> None:
    table = pa.table({"doc": pa.nulls(2), "choices": pa.array([[None], None], pa.list_(pa.null()))})
    assert column_at(table, "doc.body").to_pylist() == [None, None]
    assert column_at(table, "choices.text").to_pylist() == [[None], None]


@pytest.mark.parametrize(
    "path", ["", ".", "doc.", ".body", "doc..body", "doc.title", "doc.body.x", "text.x", "map.k"]
)
def test_paths_that_lead_nowhere(path: str) -> None:
    doc, entries = pa.struct([("body", pa.string())]), pa.map_(pa.string(), pa.string())
    schema = pa.schema([("doc", doc), ("text", pa.string()), ("map", entries)])
    table = pa.Table.from_pylist([{"doc": {"body": "b"}, "text": "t", "map": [("k", "v")]}], schema)
    assert find_path(table.schema, path) is None
    assert leaf_indices(table.schema, [path]) == []
    with pytest.raises(KeyError):
        column_at(table, path)


def test_parents_and_all_paths() -> None:
    schema = pa.schema([("a", pa.struct([("b", pa.list_(pa.struct([("c", pa.int8())])))])), ("d", pa.string())])
    assert list(all_paths(schema)) == ["a", "a.b", "a.b.c", "d"]
    assert nearest_parent(schema, "a.b.x.y") == ("a.b", schema.field("a").type.field("b").type)
    assert nearest_parent(schema, "d.x") == ("d", pa.string())
    assert nearest_parent(schema, "x.y") is None


def test_a_field_allows_nulls_where_anything_above_does() -> None:
    body = pa.field("body", pa.string(), nullable=False, metadata={"of": "body"})
    for doc in (pa.struct([body]), pa.list_(pa.struct([body]))):
        optional, required = (pa.schema([pa.field("doc", doc, nullable=nullable)]) for nullable in (True, False))
        assert path_field(optional, (0, 0)).nullable
        assert not path_field(required, (0, 0)).nullable
    assert path_field(pa.schema([pa.field("doc", pa.struct([body]))]), (0, 0)).metadata == {b"of": b"body"}


def types(depth: int) -> st.SearchStrategy[pa.DataType]:
    """Strings, numbers, nulls, maps and lists, in structs whose fields may have dots in their names."""
    leaves = st.sampled_from([pa.string(), pa.int32(), pa.null(), pa.map_(pa.string(), pa.int8())])
    if depth == 0:
        return leaves
    inner = types(depth - 1)
    structs = st.dictionaries(st.sampled_from(NAMES), inner, min_size=1, max_size=3)
    return st.one_of(
        leaves,
        structs.map(lambda fields: pa.struct(list(fields.items()))),
        inner.map(pa.list_),
        inner.map(pa.large_list),
        inner.map(lambda item: pa.list_(item, 2)),
    )


def values(type_: pa.DataType) -> st.SearchStrategy[Any]:
    """Values of a type; nulls everywhere."""
    some: st.SearchStrategy[Any]
    if pa.types.is_struct(type_):
        some = st.fixed_dictionaries({field.name: values(field.type) for field in type_})
    elif pa.types.is_map(type_):
        some = st.lists(st.tuples(st.sampled_from("kl"), st.integers(0, 9)), max_size=2)
    elif pa.types.is_fixed_size_list(type_):
        some = st.lists(values(type_.value_type), min_size=2, max_size=2)
    elif pa.types.is_list(type_) or pa.types.is_large_list(type_):
        some = st.lists(values(type_.value_type), max_size=3)
    elif pa.types.is_null(type_):
        return st.none()
    else:
        some = st.sampled_from(["x", "ü", ""]) if type_ == pa.string() else st.integers(0, 9)
    return st.none() | some


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    columns = draw(st.dictionaries(st.sampled_from(NAMES), types(3), min_size=1, max_size=4))
    rows = draw(st.lists(st.fixed_dictionaries({name: values(t) for name, t in columns.items()}), max_size=5))
    table = pa.Table.from_pylist(rows, pa.schema(list(columns.items())))
    cut = draw(st.integers(0, len(rows)))
    return pa.concat_tables([table[:cut], table[cut:]])[draw(st.integers(0, cut)) :]


def by_hand(type_: pa.DataType, value: Any, path: str) -> Iterator[Any]:
    """What is at `path` of a value, for every way there: the best first."""
    if pa.types.is_null(type_):
        yield None
    elif pa.types.is_struct(type_):
        for field, rest in ways(type_, path):
            inner = None if value is None else value[field.name]
            yield from [inner] if rest is None else by_hand(field.type, inner, rest)
    elif not pa.types.is_map(type_) and hasattr(type_, "value_type"):
        if value is None or not value:
            yield from (value for _ in by_hand(type_.value_type, None, path))
        else:
            yield from map(list, zip(*(by_hand(type_.value_type, item, path) for item in value), strict=True))


def ways(fields: Any, path: str) -> Iterator[tuple[pa.Field, str | None]]:
    """Fields whose names a path begins with, the longest first, and the rest of the path."""
    for field in sorted(fields, key=lambda field: -len(field.name)):
        if path == field.name:
            yield field, None
        elif path.startswith(f"{field.name}."):
            yield field, path.removeprefix(f"{field.name}.")


PATHS = st.lists(st.sampled_from(["a", "b", ""]), min_size=1, max_size=5).map(".".join)


@settings(max_examples=100)
@given(st.data(), tables())
def test_paths_of_any_columns_lead_where_a_walk_by_hand_leads(data: st.DataObject, table: pa.Table) -> None:
    path = data.draw(PATHS | st.sampled_from(list(all_paths(table.schema))))
    row_type = pa.struct(list(table.schema))
    expected = [list(by_hand(row_type, row, path)) for row in table.to_pylist()]
    steps = find_path(table.schema, path)
    if steps is None:
        assert not any(expected)
        return
    column = column_at(table, path)
    column.validate(full=True)
    assert column.to_pylist() == [found[0] for found in expected]
    assert column.type == path_type(table.schema, steps)


@settings(max_examples=50)
@given(st.data(), tables())
def test_parquet_leaves_are_all_that_a_path_needs(data: st.DataObject, table: pa.Table) -> None:
    paths = data.draw(st.lists(st.sampled_from(list(all_paths(table.schema))), max_size=3))
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    file = pq.ParquetFile(buffer)
    leaves = leaf_indices(file.schema_arrow, paths)
    assert leaves == leaf_indices(table.schema, paths)
    names = [file.metadata.schema.column(leaf).path for leaf in leaves]
    part = pa.Table.from_batches(
        file.iter_batches(columns=names), schema=None if table.num_rows else pa.schema([])
    )
    for path in paths if table.num_rows else []:
        assert column_at(part, path).to_pylist() == column_at(table, path).to_pylist()
    every = leaf_indices(file.schema_arrow, table.schema.names)
    assert every == list(range(file.metadata.num_columns))
