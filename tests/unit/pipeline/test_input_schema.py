import pyarrow as pa
import pytest

from pipeline.errors import InputError
from pipeline.input_schema import InputSchema, ReadColumns, agree
from tests.unit.pipeline.input_files import job


def schema(**types: pa.DataType) -> pa.Schema:
    return pa.schema(list(types.items()))


def columns(carried: tuple[str, ...] | None = None, route: str | None = None) -> ReadColumns:
    return ReadColumns(("text",), route, carried)


def agreed(*schemas: pa.Schema, carried: tuple[str, ...] | None = None) -> InputSchema:
    files = [(f"f{i}", schema) for i, schema in enumerate(schemas)]
    return agree(files, columns(carried), ["topic"])


def test_of_job_has_each_text_once() -> None:
    heads = {
        "topic": {"task": "text-classification", "text": "a", "text_pair": "b"},
        "other": {"task": "text-classification", "text": "b", "text_pair": "a"},
        "vector": {"task": "embedding"},
    }
    read = ReadColumns.of_job(job("x", heads=heads, route="r", columns=["id"]))
    assert read == ReadColumns(("a", "b", "text"), "r", ("id",))
    assert read.names(["zzz"]) == ("id", "a", "b", "text", "r")
    assert ReadColumns.of_job(job("x")).names(["q", "text"]) == ("q", "text")


def test_carries_all_columns_or_those_listed() -> None:
    file = schema(id=pa.int64(), text=pa.string(), lang=pa.string())
    assert agreed(file) == InputSchema(file, file)
    listed = agreed(file, carried=("lang",))
    assert listed.carried == schema(lang=pa.string())
    assert listed.read == schema(lang=pa.string(), text=pa.string())
    assert agreed(file, carried=()).carried == schema()


def test_columns_that_are_not_used_may_differ() -> None:
    a = schema(id=pa.int64(), text=pa.string(), x=pa.int8())
    b = schema(y=pa.int8(), text=pa.string(), id=pa.int64())
    assert agreed(a, b, carried=("id",)).read == schema(id=pa.int64(), text=pa.string())


def test_all_columns_carried_must_be_the_same() -> None:
    a = schema(id=pa.int64(), text=pa.string(), x=pa.int8())
    b = schema(y=pa.int8(), text=pa.string(), id=pa.int64())
    with pytest.raises(InputError) as caught:
        agreed(a, b)
    message = str(caught.value)
    assert "f1: column 'x' is missing, f0 has it; list the columns to carry in input.columns" in message
    assert "f1: has a column 'y', f0 has not" in message


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ([pa.string(), pa.string()], pa.string()),
        ([pa.large_string(), pa.large_string()], pa.large_string()),
        ([pa.string(), pa.large_string()], pa.string()),
        ([pa.dictionary(pa.int8(), pa.string()), pa.string_view()], pa.string()),
        ([pa.dictionary(pa.int8(), pa.string())] * 2, pa.dictionary(pa.int8(), pa.string())),
        ([pa.dictionary(pa.int8(), pa.int64()), pa.int64()], pa.int64()),
        ([pa.null(), pa.list_(pa.int8()), pa.null()], pa.list_(pa.int8())),
        ([pa.null(), pa.null()], pa.null()),
        ([pa.string_view()], pa.string()),
        ([pa.list_(pa.string_view()), pa.list_(pa.string())], pa.list_(pa.string())),
    ],
)
def test_types_that_differ_in_encoding_agree(types: list[pa.DataType], expected: pa.DataType) -> None:
    schemas = [schema(x=type_, text=pa.string()) for type_ in types]
    assert agreed(*schemas).carried.field("x").type == expected


def test_types_that_differ_are_refused_naming_both_files() -> None:
    a, b = (schema(x=type_, text=pa.string()) for type_ in (pa.int64(), pa.float64()))
    nothing = schema(x=pa.null(), text=pa.string())
    with pytest.raises(InputError, match="f2: column 'x' has type double, in f1 it has int64"):
        agreed(nothing, a, b)


def test_field_metadata_and_nullability_are_left_behind() -> None:
    field = pa.field("text", pa.string(), nullable=False, metadata={b"PARQUET:field_id": b"1"})
    found = agreed(pa.schema([field], metadata={b"pandas": b"{}"})).carried
    assert found.equals(schema(text=pa.string()), check_metadata=True)


@pytest.mark.parametrize("name", ["error", "topic", "__row"])
def test_carried_columns_cannot_have_the_names_of_ours(name: str) -> None:
    with pytest.raises(InputError, match=f"f0: column '{name}' .*in input.columns"):
        agreed(schema(text=pa.string(), **{name: pa.string()}))
    agreed(schema(text=pa.string(), **{name: pa.string()}), carried=("text",))


def test_missing_and_mistyped_columns_of_every_file_are_reported() -> None:
    good = schema(text=pa.string(), r=pa.string())
    files = [("a", good), ("b", schema(text=pa.int8(), r=pa.string())), ("c", schema(text=pa.string()))]
    with pytest.raises(InputError) as caught:
        agree(files, columns(("text",), route="r"), [])
    lines = str(caught.value).split("\n  ")
    assert lines[0] == "2 problems with the input"
    assert lines[1].startswith("b: column 'text' has type int8, expected string")
    assert lines[2].startswith("c: column 'r' is missing")


def test_a_route_of_a_wrong_type_is_refused() -> None:
    with pytest.raises(InputError, match=r"'r' \(input.route\) has type int8"):
        agree([("a", schema(text=pa.string(), r=pa.int8()))], columns(("r",), route="r"), [])


def test_ten_problems_are_shown() -> None:
    files = [(f"f{i}", schema(id=pa.int64())) for i in range(13)]
    with pytest.raises(InputError) as caught:
        agree(files, columns(), [])
    lines = str(caught.value).split("\n  ")
    assert (lines[0], len(lines), lines[-1]) == ("13 problems with the input", 12, "and 3 more")
