import pyarrow as pa
import pytest

from pipeline.input.column_names import column_name_problems, field_name_problems, key_name_problems


def test_names_that_differ_in_more_than_case_go_together() -> None:
    assert list(column_name_problems("f", ["id", "text", "ıd"], ["topic"])) == []
    assert list(key_name_problems([{"lang": "de"}, {}], ["lang", "text"], ["topic"])) == []


@pytest.mark.parametrize(
    ("carried", "heads", "problem"),
    [
        (["id", "ID"], [], "input.columns: f: columns 'id' and 'ID' differ only in case; "),
        (["ärger", "ÄRGER"], [], "input.columns: f: columns 'ärger' and 'ÄRGER' differ only in case; "),
        (
            ["Error"],
            [],
            "input.columns: f: column 'Error' differs only in case from 'error', which every output row",
        ),
        (["NUM_TOKENS"], [], "input.columns: f: column 'NUM_TOKENS' differs only in case from 'num_tokens', "),
        (["topic"], ["topic"], "heads.topic: f: column 'topic' has the name of a head; "),
        (
            ["doc.Topic"],
            ["DOC.topic"],
            "heads.DOC.topic: f: column 'doc.Topic' has the name of a head but for its ",
        ),
        (["TOPIC"], ["topic"], "heads.topic: f: column 'TOPIC' has the name of a head but for its case; "),
        (["error"], [], "input.columns: f: column 'error' is one of the columns that every output row has"),
    ],
)
def test_columns_that_clash(carried: list[str], heads: list[str], problem: str) -> None:
    [found] = column_name_problems("f", carried, heads)
    assert found.startswith(problem)
    assert found.endswith("in input.columns")


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (["topic"], "heads.topic: readers of the output would take the folders topic=... for its column; rename"),
        (["Topic"], "input.hive: the key of the folders Topic=... differs only in case from the column 'topic'; "),
        (["TEXT"], "input.hive: the key of the folders TEXT=... differs only in case from the column 'text'; "),
        (
            ["lang", "Lang"],
            "input.hive: the key of the folders Lang=... differs only in case from the folders lang=",
        ),
        (
            ["error"],
            "input.hive: the key of the folders error=... is one of the columns that every output row has",
        ),
        (["Error"], "input.hive: the key of the folders Error=... differs only in case from 'error', which every"),
    ],
)
def test_keys_of_folders_that_clash(keys: list[str], problem: str) -> None:
    [found] = key_name_problems([{}, *({key: "x"} for key in keys)], ["text"], ["topic"])
    assert found.startswith(problem)
    assert found.endswith("or set input.hive = false")


PAIR = pa.struct([("a", pa.int8()), ("b", pa.int8()), ("A", pa.int8())])


@pytest.mark.parametrize(
    ("type_", "path"),
    [
        (PAIR, "s"),
        (pa.list_(PAIR), "s"),
        (pa.struct([("inner", pa.large_list(PAIR))]), "s.inner"),
        (pa.map_(pa.string(), PAIR), "s.value"),
    ],
    ids=str,
)
def test_fields_within_a_column_that_clash(type_: pa.DataType, path: str) -> None:
    [found] = field_name_problems("f", "s", type_)
    assert found.startswith(f"input.columns: f: fields 'a' and 'A' of column '{path}' differ only in case; ")
    assert (
        list(field_name_problems("f", "s", pa.struct([("a", pa.int8()), ("b", pa.struct([("A", pa.int8())]))])))
        == []
    )


def test_fields_of_extension_types_that_clash() -> None:
    class Pair(pa.ExtensionType):
        def __init__(self) -> None:
            super().__init__(PAIR, "tests.pair")

        def __arrow_ext_serialize__(self) -> bytes:
            return b""

        @classmethod
        def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> "Pair":
            return cls()

    assert len(list(field_name_problems("f", "s", Pair()))) == 1
