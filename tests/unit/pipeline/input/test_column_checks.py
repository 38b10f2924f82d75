from functools import partial

import pyarrow as pa
import pytest

from pipeline.arrays.column_types import plain_type
from pipeline.errors import InputError
from pipeline.input.column_checks import require_column, require_shape

require_text_column = partial(require_shape, shape="text")
require_text_list_column = partial(require_shape, shape="list of text")
require_route_column = partial(require_shape, shape="heads")

TEXT_TYPES = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.binary(),
    pa.large_binary(),
    pa.binary_view(),
]
DICTIONARIES = [pa.dictionary(pa.int32(), type_) for type_ in TEXT_TYPES]


@pytest.mark.parametrize("type_", TEXT_TYPES + DICTIONARIES, ids=str)
def test_text_columns_of_every_encoding_are_accepted(type_: pa.DataType) -> None:
    require_text_column(pa.schema([("text", type_)]), "text", "a.parquet")
    assert plain_type(type_) in (pa.string(), pa.binary())


@pytest.mark.parametrize(
    "type_",
    [pa.int64(), pa.list_(pa.string()), pa.null(), pa.dictionary(pa.int8(), pa.int64()), pa.binary(3)],
    ids=str,
)
def test_other_text_columns_are_refused(type_: pa.DataType) -> None:
    with pytest.raises(InputError) as caught:
        require_text_column(pa.schema([("text", type_)]), "text", "dir/a.parquet")
    message = str(caught.value)
    assert message.startswith(f"dir/a.parquet: column 'text' has type {type_}, expected string")
    assert "; name another column" in message


def test_missing_columns_name_the_nearest() -> None:
    schema = pa.schema([("id", pa.int64()), ("texts", pa.string())])
    with pytest.raises(InputError) as caught:
        require_text_column(schema, "text", "a.parquet")
    assert str(caught.value) == (
        "a.parquet: column 'text' is missing; did you mean 'texts'? The file has: id, texts"
    )
    with pytest.raises(InputError, match=r"'zzz' is missing; the file has"):
        require_text_column(schema, "zzz", "a.parquet")


def test_columns_that_are_there_twice_are_refused() -> None:
    schema = pa.schema([("text", pa.string()), ("text", pa.string())])
    with pytest.raises(InputError, match="'text' is there 2 times, expected once"):
        require_text_column(schema, "text", "a.parquet")


LISTS = [pa.list_, pa.large_list, pa.list_view, pa.large_list_view, lambda item: pa.list_(item, 2)]
LISTS_OF_TEXT = [kind(type_) for kind in LISTS for type_ in (*TEXT_TYPES, *DICTIONARIES)]


@pytest.mark.parametrize("type_", LISTS_OF_TEXT, ids=str)
def test_lists_of_text_of_every_encoding_are_accepted(type_: pa.DataType) -> None:
    require_text_list_column(pa.schema([("tokens", type_)]), "tokens", "a.parquet")


@pytest.mark.parametrize(
    "type_",
    [pa.string(), pa.list_(pa.int8()), pa.list_(pa.list_(pa.string())), pa.map_(pa.string(), pa.string())],
    ids=str,
)
def test_other_lists_are_refused(type_: pa.DataType) -> None:
    with pytest.raises(InputError) as caught:
        require_text_list_column(pa.schema([("tokens", type_)]), "tokens", "dir/a.parquet")
    assert str(caught.value).startswith(f"dir/a.parquet: column 'tokens' has type {type_}, expected list<string>")


DOCUMENT = pa.struct([("title", pa.int8()), ("body", pa.large_string()), ("tags", pa.list_(pa.string()))])
NESTED = pa.schema([("id", pa.int64()), ("doc", DOCUMENT), ("doc.title", pa.string())])


def test_nested_fields_are_found_by_path_and_names_with_dots_come_first() -> None:
    assert require_column(NESTED, "doc.body", "f") == pa.large_string()
    assert require_column(NESTED, "doc.title", "f") == pa.string()
    require_text_column(NESTED, "doc.body", "f")
    require_text_column(NESTED, "doc.title", "f")
    require_text_list_column(NESTED, "doc.tags", "f")
    require_route_column(NESTED, "doc.tags", "f")
    with pytest.raises(InputError, match=r"f: column 'doc\.tags' has type list<.*>, expected string"):
        require_text_column(NESTED, "doc.tags", "f")


def test_missing_fields_name_the_nearest_and_what_is_above() -> None:
    with pytest.raises(InputError) as caught:
        require_column(NESTED, "doc.bdy", "f")
    assert str(caught.value) == (
        f"f: column 'doc.bdy' is missing; did you mean 'doc.body'? 'doc' has type {DOCUMENT}"
    )
    with pytest.raises(InputError, match=r"'id\.x' is missing; (did .*\? )?'id' has type int64"):
        require_column(NESTED, "id.x", "f")
    with pytest.raises(InputError, match=r"'x\.y' is missing; the file has: id, doc, doc\.title$"):
        require_column(NESTED, "x.y", "f")
    wide = pa.schema([("doc", pa.struct([(f"field{i}", pa.string()) for i in range(1000)]))])
    with pytest.raises(InputError) as caught:
        require_column(wide, "doc.zzz", "f")
    assert len(str(caught.value)) < 300


ROUTE_TYPES = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()), pa.null()]


@pytest.mark.parametrize("type_", ROUTE_TYPES + [kind(t) for kind in LISTS for t in ROUTE_TYPES], ids=str)
def test_route_columns_are_accepted(type_: pa.DataType) -> None:
    require_route_column(pa.schema([("heads", type_)]), "heads", "a.parquet")


@pytest.mark.parametrize("type_", [pa.int64(), pa.list_(pa.int64()), pa.binary()], ids=str)
def test_other_route_columns_are_refused(type_: pa.DataType) -> None:
    with pytest.raises(InputError, match=r"^a\.parquet: column 'heads' has type .*, expected string or"):
        require_route_column(pa.schema([("heads", type_)]), "heads", "a.parquet")
