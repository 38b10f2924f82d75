from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import InputError
from pipeline.input.read_columns import ReadColumns
from pipeline.input.schema import FileSchema, InputSchema, common_schema
from tests.unit.pipeline.input_files import job


def schema(**types: pa.DataType) -> pa.Schema:
    return pa.schema(list(types.items()))


def columns(carried: tuple[str, ...] | None = None, route: str | None = None) -> ReadColumns:
    return ReadColumns({"text": "input.text"}, route, carried)


def agreed(*schemas: pa.Schema, carried: tuple[str, ...] | None = None) -> InputSchema:
    files = [FileSchema(f"f{i}", schema) for i, schema in enumerate(schemas)]
    return common_schema(files, columns(carried), ["topic"])


def test_of_job_has_each_text_once() -> None:
    heads = {
        "topic": {"task": "text-classification", "text": "a", "text_pair": "b"},
        "other": {"task": "text-classification", "text": "b", "text_pair": "a"},
        "vector": {"task": "embedding"},
    }
    read = ReadColumns.of_job(job("x", heads=heads, route="r", columns=["id"]))
    texts = {
        "a": "heads.topic.text, heads.other.text_pair",
        "b": "heads.topic.text_pair, heads.other.text",
        "text": "input.text",
    }
    assert read == ReadColumns(texts, "r", ("id",))
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
    assert "input.columns: f1: column 'x' is missing, f0 has it; list there the columns to carry" in message
    assert "input.columns: f1: has a column 'y', f0 has not" in message


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ([pa.string(), pa.string()], pa.string()),
        ([pa.large_string(), pa.large_string()], pa.large_string()),
        ([pa.string(), pa.large_string()], pa.string()),
        ([pa.dictionary(pa.int8(), pa.string()), pa.large_string()], pa.string()),
        ([pa.dictionary(pa.int8(), pa.string())] * 2, pa.dictionary(pa.int8(), pa.string())),
        ([pa.dictionary(pa.int8(), pa.int64()), pa.int64()], pa.int64()),
        ([pa.null(), pa.list_(pa.int8()), pa.null()], pa.list_(pa.int8())),
        ([pa.null(), pa.null()], pa.null()),
        ([pa.list_(pa.null()), pa.list_(pa.string())], pa.list_(pa.string())),
        ([pa.list_(pa.string(), 2), pa.large_list(pa.large_string())], pa.list_(pa.string())),
        ([pa.list_(pa.dictionary(pa.int8(), pa.string())), pa.list_(pa.string())], pa.list_(pa.string())),
        (
            [pa.list_(pa.float32(), 3), pa.list_(pa.field("e", pa.float32(), nullable=False), 3)],
            pa.list_(pa.float32(), 3),
        ),
    ],
)
def test_types_that_differ_in_encoding_agree(types: list[pa.DataType], expected: pa.DataType) -> None:
    schemas = [schema(x=type_, text=pa.string()) for type_ in types]
    assert agreed(*schemas).carried.field("x").type == expected


def test_types_that_differ_are_refused_naming_both_files() -> None:
    a, b = (schema(x=type_, text=pa.string()) for type_ in (pa.int64(), pa.float64()))
    nothing = schema(x=pa.null(), text=pa.string())
    with pytest.raises(InputError, match=r"^input\.columns: f2: column 'x' has type double, in f1 it has int64"):
        agreed(nothing, a, b)


def test_metadata_and_constraints_go_to_the_output_and_are_not_sent() -> None:
    inner = pa.field("a", pa.uuid(), nullable=False, metadata={"key": "value"})
    field = pa.field("x", pa.struct([inner]), nullable=False, metadata={"key": "value"})
    file = pa.schema([pa.field("text", pa.json_()), field], metadata={"pandas": "{}"})
    found = agreed(file)
    assert found.carried.equals(file.remove_metadata(), check_metadata=True)
    sent = schema(text=pa.string(), x=pa.struct([("a", pa.binary(16))]))
    assert found.read.equals(sent, check_metadata=True)


def test_a_field_within_a_column_that_may_be_null_may_be_null() -> None:
    doc = pa.struct([pa.field("body", pa.string(), nullable=False)])
    for nullable in (True, False):
        file = pa.schema([pa.field("doc", doc, nullable)])
        found = common_schema(
            [FileSchema("f0", file)], ReadColumns({"doc.body": "k"}, None, ("doc.body",)), []
        ).carried
        assert found == pa.schema([pa.field("doc.body", pa.string(), nullable)])


def test_columns_that_would_not_come_out_as_they_are_are_refused_where_they_are_carried() -> None:
    file = FileSchema("f", schema(text=pa.string(), x=pa.binary(12)), unwritable={"x": "has the Parquet type T"})
    with pytest.raises(InputError) as caught:
        common_schema([file], columns(), [])
    assert str(caught.value) == (
        "input.columns: f: column 'x' has the Parquet type T; list the columns to carry, without it, in "
        "input.columns"
    )


@pytest.mark.parametrize("name", ["error", "topic", "__row"])
def test_carried_columns_cannot_have_the_names_of_ours(name: str) -> None:
    with pytest.raises(InputError, match=f"f0: column '{name}' .*in input.columns"):
        agreed(schema(text=pa.string(), **{name: pa.string()}))
    agreed(schema(text=pa.string(), **{name: pa.string()}), carried=("text",))


def test_missing_and_mistyped_columns_of_every_file_are_reported() -> None:
    good = schema(text=pa.string(), r=pa.string())
    bad = schema(text=pa.int8(), r=pa.string())
    files = [FileSchema("a", good), FileSchema("b", bad), FileSchema("c", schema(text=pa.string()))]
    with pytest.raises(InputError) as caught:
        common_schema(files, columns(("text",), route="r"), [])
    lines = str(caught.value).split("\n  ")
    assert lines[0] == "2 problems with the input"
    assert lines[1].startswith("input.text: b: column 'text' has type int8, expected string")
    assert lines[2].startswith("input.route: c: column 'r' is missing")


def test_a_route_of_a_wrong_type_is_refused() -> None:
    with pytest.raises(InputError, match=r"^input\.route: a: column 'r' has type int8"):
        common_schema([FileSchema("a", schema(text=pa.string(), r=pa.int8()))], columns(("r",), route="r"), [])


def test_ten_problems_are_shown() -> None:
    files = [FileSchema(f"f{i}", schema(id=pa.int64())) for i in range(13)]
    with pytest.raises(InputError) as caught:
        common_schema(files, columns(), [])
    lines = str(caught.value).split("\n  ")
    assert (lines[0], len(lines), lines[-1]) == ("13 problems with the input", 12, "and 3 more")


DOCUMENT = pa.struct([("body", pa.string()), ("words", pa.list_(pa.string()))])


def test_fields_are_read_by_path_each_once() -> None:
    read = ReadColumns({"doc.body": "k", "title": "k"}, None, ("id", "doc.body"), {"doc.words": "k"})
    flat = pa.schema(
        [("id", pa.int64()), ("title", pa.string()), ("doc.body", pa.large_string()), ("doc.words", pa.null())]
    )
    nested = schema(doc=DOCUMENT, title=pa.string(), id=pa.int64())
    found = common_schema([FileSchema("f0", nested), FileSchema("f1", flat)], read, [])
    assert found.carried == pa.schema([("id", pa.int64()), ("doc.body", pa.string())])
    assert found.read == pa.schema([*found.carried, ("title", pa.string()), ("doc.words", pa.list_(pa.string()))])


def test_a_whole_column_can_be_carried_next_to_its_field() -> None:
    found = common_schema([FileSchema("f0", schema(doc=DOCUMENT))], ReadColumns({"doc.body": "k"}, None, None), [])
    assert found.carried == schema(doc=DOCUMENT)
    assert found.read == pa.schema([("doc", DOCUMENT), ("doc.body", pa.string())])


def test_the_keys_that_name_a_column_are_named() -> None:
    heads: dict[str, Any] = {
        "nli": {"task": "text-classification", "text_pair": "pair"},
        "qa": {"task": "question-answering"},
        "race": {"task": "multiple-choice", "choices": "options"},
        "copa": {"task": "multiple-choice", "choices": ["one", "two"]},
        "tags": {"task": "token-classification", "words": "tokens"},
        "zero": {"task": "zero-shot-classification", "labels_column": "labels"},
        "own": {"task": "embedding", "text": "title"},
        **{f"e{i}": {"task": "embedding", "text": "many"} for i in range(5)},
    }
    read = ReadColumns.of_job(job("x", heads=heads, route="asked", columns=["id", "title"]))
    named = {
        "text": "input.text",
        "pair": "heads.nli.text_pair",
        "question": "heads.qa.question",
        "context": "heads.qa.context",
        "prompt": "heads.race.prompt, heads.copa.prompt",
        "options": "heads.race.choices",
        "one": "heads.copa.choices",
        "tokens": "heads.tags.words",
        "labels": "heads.zero.labels_column",
        "title": "heads.own.text, input.columns",
        "many": "heads.e0.text, heads.e1.text, heads.e2.text and 2 more",
        "asked": "input.route",
        "id": "input.columns",
    }
    assert {name: read.keys(name) for name in named} == named


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"choices": "options"}, "heads.x.choices: f: column 'options' is missing; did you mean 'OPTIONS'?"),
        ({"choices": "id"}, "heads.x.choices: f: column 'id' has type int64, expected list<string>"),
        ({"choices": ["id", "text"]}, "heads.x.choices: f: column 'id' has type int64, expected string"),
    ],
)
def test_a_wrong_column_is_named_with_its_key(options: dict[str, Any], problem: str) -> None:
    file = schema(id=pa.int64(), text=pa.string(), OPTIONS=pa.list_(pa.string()))
    heads = {"x": {"task": "multiple-choice", "prompt": "text", **options}}
    with pytest.raises(InputError) as caught:
        common_schema([FileSchema("f", file)], ReadColumns.of_job(job("x", heads=heads)), ["x"])
    assert str(caught.value).startswith(problem)


def test_names_that_differ_only_in_case_are_refused_where_they_are_carried() -> None:
    pair = pa.struct([("a", pa.int8()), ("A", pa.int8())])
    with pytest.raises(InputError) as caught:
        agreed(schema(text=pa.string(), Text=pa.string(), TOPIC=pa.int8()))
    first, *lines = str(caught.value).split("\n  ")
    assert (first, len(lines)) == ("2 problems with the input", 2)
    with pytest.raises(InputError, match=r"^input\.columns: f0: fields 'a' and 'A' of column 's' differ only in"):
        agreed(schema(text=pa.string(), s=pair))
    everything = schema(text=pa.string(), Text=pa.string(), TOPIC=pa.int8(), s=pair)
    assert agreed(everything, carried=("Text", "s.a")).carried == pa.schema(
        [("Text", pa.string()), ("s.a", pa.int8())]
    )


def test_a_column_that_is_read_in_two_ways_must_fit_both() -> None:
    read = ReadColumns({"x": "heads.a.text"}, "x", None, {"x": "heads.b.words"})
    with pytest.raises(InputError, match=r"^heads\.a\.text: f: column 'x' has type list<.*>, expected string"):
        common_schema([FileSchema("f", schema(x=pa.list_(pa.string())))], read, [])


@pytest.mark.parametrize("empty", [pa.null(), pa.list_(pa.null())], ids=str)
def test_files_without_a_value_follow_the_others(empty: pa.DataType) -> None:
    read = ReadColumns({}, None, (), {"w": "heads.b.words"})
    files = [FileSchema("f0", schema(w=empty)), FileSchema("f1", schema(w=pa.list_(pa.string())))]
    assert common_schema(files, read, []).read == schema(w=pa.list_(pa.string()))
    with pytest.raises(InputError, match=r"heads\.b\.words: f0: column 'w' has type .*null.*, expected list<"):
        common_schema(files[:1], read, [])


def test_a_text_without_a_value_in_any_file_is_refused() -> None:
    with pytest.raises(InputError, match="f0: column 'text' has type null, expected string"):
        agreed(schema(text=pa.null()), schema(text=pa.null()))
    assert agreed(schema(text=pa.null()), schema(text=pa.string())).read == schema(text=pa.string())


LANG: dict[str, str | None] = {"lang": "de"}
TEXT = schema(text=pa.string())


def in_folders(*partitions: dict[str, str | None], hive: bool | str = "auto", **options: Any) -> InputSchema:
    files = [FileSchema(f"f{i}", TEXT, partition) for i, partition in enumerate(partitions)]
    return common_schema(files, ReadColumns.of_job(job("x", hive=hive, **options)), ["vector"])


def test_keys_of_folders_can_be_named_anywhere() -> None:
    assert in_folders(LANG) == InputSchema(TEXT, TEXT)
    assert in_folders(LANG, columns=["lang"]).carried == schema(lang=pa.string())
    assert in_folders(LANG, route="lang") == InputSchema(schema(text=pa.string(), lang=pa.string()), TEXT)
    heads = {"vector": {"task": "embedding", "text": "lang"}}
    assert in_folders(LANG, heads=heads, columns=[]).read == schema(lang=pa.string())
    with pytest.raises(InputError, match="f1: column 'lang' is missing"):
        in_folders(LANG, {}, route="lang")


def test_keys_of_folders_are_carried_where_asked_for() -> None:
    everything = schema(text=pa.string(), lang=pa.string(), year=pa.string())
    assert in_folders({**LANG, "year": None}, hive=True) == InputSchema(everything, everything)
    assert in_folders(LANG, hive=True, columns=["text"]).carried == schema(text=pa.string(), lang=pa.string())
    with pytest.raises(InputError, match="f1: has a column 'year', f0 has not"):
        in_folders(LANG, {**LANG, "year": "2024"}, hive=True)
    with pytest.raises(InputError, match=r"input\.hive: f0: found true, expected a folder KEY=VALUE"):
        in_folders({}, hive=True)


def test_a_head_named_like_a_folder_is_refused() -> None:
    with pytest.raises(InputError, match=r"heads\.vector: readers of the output would take the folders vector="):
        in_folders({"vector": "x"})


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"columns": ["text", "lang"]}, "input.columns"),
        ({"route": "lang"}, "input.route"),
        ({"hive": True}, "input.columns"),
    ],
)
def test_a_key_that_may_differ_from_a_column_of_the_file_is_refused_where_it_is_named(
    options: dict[str, Any], key: str
) -> None:
    own = schema(text=pa.string(), lang=pa.string())
    file = FileSchema("f", own, LANG, ("lang",))
    with pytest.raises(InputError) as caught:
        common_schema([file], ReadColumns.of_job(job("x", **options)), [])
    assert str(caught.value) == (
        f"{key}: f: column 'lang' is in the file and in the name of its folder, lang=de, and the footer does not "
        "show that they are equal; set input.hive = false to read the file's"
    )
    assert common_schema([file], ReadColumns.of_job(job("x")), []).carried == own
    assert common_schema([FileSchema("f", own, LANG)], ReadColumns.of_job(job("x", **options)), []).read == own
