import pyarrow as pa
import pytest

from pipeline.arrays.text_columns import text_values

TEXT_TYPES = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.binary(),
    pa.large_binary(),
    pa.binary_view(),
]


@pytest.mark.parametrize("type_", TEXT_TYPES, ids=str)
@pytest.mark.parametrize("is_dictionary", [False, True])
def test_text_values(type_: pa.DataType, is_dictionary: bool) -> None:
    values = ["grün", None, "", "ไทย", "grün"]
    array = pa.array([v and v.encode() for v in values], pa.binary()).cast(pa.string()).cast(type_)
    if is_dictionary:
        dictionary = pa.array(["grün", "", "ไทย"]).cast(type_)
        array = pa.DictionaryArray.from_arrays(pa.array([0, None, 1, 2, 0]), dictionary)
    assert text_values(pa.chunked_array([array[:2], array[2:]])) == values


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
@pytest.mark.parametrize("is_text", [False, True])
def test_invalid_utf8_costs_its_own_row_only(type_: pa.DataType, is_text: bool) -> None:
    binary = {
        pa.string(): pa.binary(),
        pa.large_string(): pa.large_binary(),
        pa.string_view(): pa.binary_view(),
    }[type_]
    array = pa.array([b"good", b"b\xc3", None, b"ok"], binary)
    column = pa.chunked_array([array.view(type_) if is_text else array])
    good, bad, missing, other = text_values(column)
    assert (good, missing, other) == ("good", None, "ok")
    assert isinstance(bad, UnicodeDecodeError)
    assert "position 1" in str(bad)
