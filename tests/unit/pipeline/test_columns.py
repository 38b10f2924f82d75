import pyarrow as pa

from pipeline.columns import is_internal, output_schema, reserved_name_problem, sequence_column


def test_output_schema_is_carried_then_reserved_then_heads_in_order() -> None:
    carried = pa.schema([("id", pa.int64()), ("text", pa.string())])
    schema = output_schema(carried, {"z": pa.float32(), "a": pa.float64()})
    assert schema.names == ["id", "text", "num_tokens", "num_windows", "error", "z", "a"]
    assert [str(type_) for type_ in schema.types] == [
        "int64", "string", "int32", "int32", "string", "float", "double",
    ]  # fmt: skip


def test_reserved_and_internal_names() -> None:
    assert is_internal(sequence_column(12))
    assert is_internal("__fragment")
    assert not is_internal("__index_level_0__")
    assert reserved_name_problem("__index_level_0__") is None
    assert reserved_name_problem("text") is None
    assert "every output row" in str(reserved_name_problem("error"))
    assert "internal" in str(reserved_name_problem("__row"))
