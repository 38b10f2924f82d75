import io
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError
from pipeline.input.hive_partitions import holds_only, partition_values, with_partition


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.parquet", {}),
        ("lang=de/year=2024/a.parquet", {"lang": "de", "year": "2024"}),
        ("news/lang=de/more/a.parquet", {"lang": "de"}),
        ("lang=a=b/c=d.parquet", {"lang": "a=b"}),
        ("lang=/=de/a.parquet", {"lang": ""}),
        ("lang=__HIVE_DEFAULT_PARTITION__/a.parquet", {"lang": None}),
        ("l%C3%A4nge=a%2Fb%20c/a.parquet", {"länge": "a/b c"}),
        ("month=01/a.parquet", {"month": "01"}),
    ],
)
def test_values_are_in_the_names_of_folders(path: str, expected: dict[str, str | None]) -> None:
    assert partition_values(path) == expected
    assert list(partition_values(path)) == list(expected)


def test_a_key_that_is_there_twice_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"^input\.hive: lang=de/x/lang=fr/a.parquet: two folders have the key 'lang'"
    ):
        partition_values("lang=de/x/lang=fr/a.parquet")


def test_what_the_file_has_itself_comes_first() -> None:
    schema = pa.schema([("id", pa.int64()), ("doc", pa.struct([("lang", pa.int8())]))])
    found = with_partition(schema, ["year", "id", "doc.lang", "doc.year"])
    assert found == pa.schema([*schema, ("year", pa.string()), ("doc.year", pa.string())])


def metadata(values: list[Any], type_: pa.DataType | None = None, **options: Any) -> pq.FileMetaData:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"x": pa.array(values, type_)}), buffer, row_group_size=2, **options)
    return pq.ParquetFile(buffer).metadata


@pytest.mark.parametrize(
    ("values", "value", "expected"),
    [
        (["de", "de", "de"], "de", True),
        (["de", "de", "fr"], "de", False),
        (["de", "de", None], "de", False),
        (["de"], "fr", False),
        ([None, "de"], None, False),
        ([1, 1], "1", True),
        ([1, 1], "01", True),
        ([1], "+-1", False),
        ([1], "1.0", False),
        ([True], "true", True),
        ([True], "1", False),
        ([b"de", b"de"], "de", True),
        ([date(2024, 5, 1)], "2024-05-01", True),
        ([], "de", True),
    ],
)
def test_equal_values_are_shown_by_the_footer(values: list[Any], value: str | None, expected: bool) -> None:
    assert holds_only(metadata(values), 0, value) is expected


def test_nulls_are_shown_by_the_footer() -> None:
    assert holds_only(metadata([None, None, None], pa.string()), 0, None)
    assert not holds_only(metadata([None, None, None], pa.string()), 0, "de")


def test_a_footer_without_statistics_shows_nothing() -> None:
    assert not holds_only(metadata(["de"], write_statistics=False), 0, "de")
    assert not holds_only(metadata([None], pa.string(), write_statistics=False), 0, None)
