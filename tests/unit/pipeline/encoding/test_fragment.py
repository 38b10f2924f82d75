"""Rows of texts to windows of token ids; what the tokenizer makes of a text is its own tests' matter."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from pipeline.arrays.text_columns import text_values
from pipeline.arrays.windows import WINDOW_TYPE
from pipeline.columns import WANTED, context_column, sequence_column
from pipeline.encoding import row_texts
from pipeline.encoding.fragment import encode_fragment
from pipeline.heads.resolve import Head
from pipeline.heads.tokenizer import load_tokenizer
from tests.tiny_tokenizer import SENTENCES, write_tiny_sentencepiece
from tests.unit.pipeline.compute_fixtures import make_head

TOPIC = make_head("topic", "text-classification")
VECTOR = make_head("vector", "embedding")
ENTAILS = make_head("entails", "text-classification", text_pair="hypothesis")
SECRET = "Geheimnis"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> XLMRobertaXLTokenizer:
    directory = tmp_path_factory.mktemp("tokenizer")
    write_tiny_sentencepiece(directory)
    return load_tokenizer(str(directory))


def encoded(
    table: pa.Table,
    heads: list[Head],
    tokenizer: XLMRobertaXLTokenizer,
    *,
    route: str | None = None,
    kept_columns: tuple[str, ...] = (),
) -> dict[str, list[Any]]:
    result = encode_fragment(table, heads, tokenizer, route=route, kept_columns=kept_columns)
    result.validate(full=True)
    columns: dict[str, list[Any]] = result.to_pydict()
    return columns


def ids_of(columns: dict[str, list[Any]], spec: int = 0) -> list[list[list[int]]]:
    """By row, the token ids of its windows."""
    return [[window["input_ids"] for window in windows] for windows in columns[sequence_column(spec)]]


def test_texts_become_what_the_tokenizer_makes_of_them(tokenizer: XLMRobertaXLTokenizer) -> None:
    table = pa.table({"id": range(len(SENTENCES)), "text": SENTENCES})
    columns = encoded(table, [TOPIC, VECTOR], tokenizer, kept_columns=("id",))
    internal = [WANTED, sequence_column(0), context_column(0)]
    assert list(columns) == ["id", "num_tokens", "num_windows", "error", *internal]
    assert columns["id"] == list(range(len(SENTENCES)))
    assert ids_of(columns) == [[tokenizer.encode(text)] for text in SENTENCES]
    assert columns["num_tokens"] == [len(ids) for [ids] in ids_of(columns)]
    assert columns["num_windows"] == [1] * len(SENTENCES)
    assert columns["error"] == [None] * len(SENTENCES)
    assert columns[WANTED] == [[True, True]] * len(SENTENCES)


def test_the_types_are_those_of_the_output(tokenizer: XLMRobertaXLTokenizer) -> None:
    """Also of a fragment without a single text: parts of a run all have one schema."""
    table = pa.table({"text": pa.array([None], pa.string())})
    schema = encode_fragment(table, [TOPIC], tokenizer, route=None, kept_columns=[]).schema
    assert [schema.field(name).type for name in ("num_tokens", "num_windows", "error")] == [
        pa.int32(),
        pa.int32(),
        pa.string(),
    ]
    assert schema.field(sequence_column(0)).type == pa.list_(WINDOW_TYPE)


def test_pairs_are_one_sequence(tokenizer: XLMRobertaXLTokenizer) -> None:
    table = pa.table({"text": SENTENCES[:4], "hypothesis": SENTENCES[4:8]})
    pairs = zip(SENTENCES[:4], SENTENCES[4:8], strict=True)
    assert ids_of(encoded(table, [ENTAILS], tokenizer)) == [[tokenizer.encode(a, b)] for a, b in pairs]


BAD_ROWS = [
    (None, "is null"),
    (b"", "is empty"),
    (b" \t\n\xc2\xa0", "is blank"),
    ("\u200b\u200e".encode(), "has nothing but invisible characters"),
    (SECRET.encode() + b"\xff\xfe", f"is not UTF-8 (byte {len(SECRET)})"),
    (b"\xed\xa0\x80", "is not UTF-8 (byte 0)"),
]


@pytest.mark.parametrize(("value", "problem"), BAD_ROWS)
@pytest.mark.parametrize("type_", [pa.string(), pa.binary(), pa.large_string()])
def test_a_bad_row_has_an_error_that_names_the_column_and_not_the_text(
    value: bytes | None, problem: str, type_: pa.DataType, tokenizer: XLMRobertaXLTokenizer
) -> None:
    # Viewed, not cast: Arrow checks UTF-8 in a cast, and not in what is read from a file.
    bytes_type = pa.large_binary() if pa.types.is_large_string(type_) else pa.binary()
    texts = pa.array([SENTENCES[0].encode(), value, SENTENCES[1].encode()], bytes_type)
    columns = encoded(pa.table({"text": texts.view(type_)}), [TOPIC, VECTOR], tokenizer)
    assert columns["error"] == [None, f"column 'text' {problem}, expected text", None]
    assert columns["num_tokens"][1] == columns["num_windows"][1] == 0
    assert ids_of(columns) == [[tokenizer.encode(SENTENCES[0])], [], [tokenizer.encode(SENTENCES[1])]]
    assert SECRET not in str(columns["error"])


def test_each_bad_column_is_named_and_the_other_sources_go_on(tokenizer: XLMRobertaXLTokenizer) -> None:
    table = pa.table({"text": [SENTENCES[0], "", " "], "hypothesis": [None, "", SENTENCES[1]]})
    columns = encoded(table, [TOPIC, ENTAILS], tokenizer)
    for error, parts in zip(
        columns["error"],
        [
            ["column 'hypothesis' is null, expected text"],
            ["column 'text' is empty, expected text", "column 'hypothesis' is empty, expected text"],
            ["column 'text' is blank, expected text"],
        ],
        strict=True,
    ):
        assert set(error.split("; ")) == set(parts)
    assert ids_of(columns, 0) == [[tokenizer.encode(SENTENCES[0])], [], []]
    assert ids_of(columns, 1) == [[], [], []]
    assert columns["num_windows"] == [1, 0, 0]


def test_refused_rows_are_not_read(tokenizer: XLMRobertaXLTokenizer) -> None:
    table = pa.table({"text": [SENTENCES[0], None, SENTENCES[1]]})
    result = encode_fragment(
        table, [TOPIC], tokenizer, route=None, kept_columns=["text"], refused={1: "deadly", 2: "deadly too"}
    ).to_pydict()
    assert result["error"] == [None, "deadly", "deadly too"]
    assert result[WANTED] == [[True], [False], [False]]
    assert ids_of(result) == [[tokenizer.encode(SENTENCES[0])], [], []]
    assert result["num_tokens"][1:] == [0, 0]


CHOICE = {"task": "multiple-choice", "prompt": "text"}


@pytest.mark.parametrize(
    ("options", "columns", "name"),
    [
        ({"task": "text-classification", "text_pair": "b"}, {"b": "\u200b"}, "column 'b'"),
        ({"task": "question-answering", "question": "b", "context": "text"}, {"b": "\u200b"}, "column 'b'"),
        (CHOICE | {"choices": "b"}, {"b": [SENTENCES[1], "\u200b"]}, "column 'b', item 1,"),
        (CHOICE | {"choices": ["a", "b"]}, {"a": SENTENCES[1], "b": "\u200b"}, "column 'b'"),
    ],
)
def test_a_companion_without_any_token_is_a_bad_row(
    options: dict[str, Any], columns: dict[str, Any], name: str, tokenizer: XLMRobertaXLTokenizer
) -> None:
    table = pa.Table.from_pylist([{"text": SENTENCES[0], **columns}])
    found = encoded(table, [make_head("h", **options)], tokenizer)
    assert found["error"] == [f"{name} has nothing but invisible characters, expected text"]
    assert ids_of(found) == [[]]


def test_a_row_is_judged_by_the_columns_that_its_heads_read(tokenizer: XLMRobertaXLTokenizer) -> None:
    table = pa.table(
        {
            "text": [SENTENCES[0], SENTENCES[0], None, SENTENCES[0]],
            "hypothesis": [None, None, None, SENTENCES[1]],
            "heads": [["topic"], ["topic", "entails"], [], ["entails", "vectors"]],
        }
    )
    columns = encoded(table, [TOPIC, ENTAILS], tokenizer, route="heads")
    assert columns["error"] == [
        None,
        "column 'hypothesis' is null, expected text",
        None,
        "column 'heads' names 'vectors', expected names among topic, entails",
    ]
    ids = tokenizer.encode(SENTENCES[0])
    assert columns[WANTED] == [[True, False], [True, True], [False, False], [False, False]]
    assert ids_of(columns, 0) == [[ids], [ids], [], []]
    assert ids_of(columns, 1) == [[], [], [], []]
    assert columns["num_tokens"] == [len(ids), len(ids), 0, 0]


def test_a_fragment_of_bad_rows(tokenizer: XLMRobertaXLTokenizer) -> None:
    columns = encoded(pa.table({"text": pa.array([None, ""], pa.string())}), [TOPIC, VECTOR], tokenizer)
    assert ids_of(columns) == [[], []]
    assert columns["num_tokens"] == columns["num_windows"] == [0, 0]


LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=6)


def long_texts(lengths: list[int]) -> list[str]:
    return [" ".join([SENTENCES[i % 7]] * (n // 8 + 1)) for i, n in enumerate(lengths)]


@given(LENGTHS, st.integers(16, 40))
def test_a_truncated_row_is_cut_and_tells_its_full_length(
    tokenizer: XLMRobertaXLTokenizer, lengths: list[int], window: int
) -> None:
    texts = long_texts(lengths)
    options: dict[str, Any] = {"window": window, "truncate": True, "stride": 4}
    heads = [
        make_head("topic", "text-classification", **options),
        make_head("entails", "text-classification", text_pair="hypothesis", **options),
    ]
    columns = encoded(pa.table({"text": texts, "hypothesis": texts[::-1]}), heads, tokenizer)
    for row, (text, pair) in enumerate(zip(texts, texts[::-1], strict=True)):
        full = len(tokenizer.encode(text)), len(tokenizer.encode(text, pair))
        assert columns["num_tokens"][row] == sum(full)
        assert columns["num_windows"][row] == 2
        # As Transformers cuts: the end of a text, of a pair the longer part first.
        assert ids_of(columns, 0)[row] == [tokenizer.encode(text, truncation=True, max_length=window)]
        assert ids_of(columns, 1)[row] == [tokenizer.encode(text, pair, truncation=True, max_length=window)]


@given(LENGTHS, st.integers(16, 40), st.integers(0, 7))
def test_windows_show_all_of_a_long_row_and_own_each_token_once(
    tokenizer: XLMRobertaXLTokenizer, lengths: list[int], window: int, stride: int
) -> None:
    texts = long_texts(lengths)
    head = make_head("topic", "text-classification", window=window, stride=stride)
    columns = encoded(pa.table({"text": texts}), [head], tokenizer)
    for row, text in enumerate(texts):
        whole = tokenizer.encode(text)
        windows = columns[sequence_column(0)][row]
        assert columns["num_tokens"][row] == len(whole)
        assert columns["num_windows"][row] == len(windows)
        owned = []
        for shown in windows:
            ids = shown["input_ids"]
            assert len(ids) <= window
            begin, size = shown["body_begin"], shown["body_size"]
            assert ids == [0, *whole[1:-1][begin : begin + size], 2]
            assert shown["prefix_size"] == 1
            owned += ids[shown["owned_begin"] : shown["owned_end"]]
        assert owned == whole[1:-1]
        assert [shown["is_last"] for shown in windows] == [False] * (len(windows) - 1) + [True]


def test_special_tokens_in_a_text_are_plain_characters(tokenizer: XLMRobertaXLTokenizer) -> None:
    [[ids]] = ids_of(encoded(pa.table({"text": ["a </s> b <mask> c <pad><s>"]}), [TOPIC], tokenizer))
    assert not set(ids[1:-1]) & {0, 1, 2, tokenizer.mask_token_id}


def test_a_column_is_read_once_for_all_heads(
    tokenizer: XLMRobertaXLTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns: list[pa.ChunkedArray] = []

    def counted(column: pa.ChunkedArray) -> list[Any]:
        columns.append(column)
        return text_values(column)

    monkeypatch.setattr(row_texts, "text_values", counted)
    heads = [
        make_head("topic", "text-classification"),
        make_head("short", "embedding", window=32),
        make_head("entities", "token-classification", window=64),
        make_head("entails", "text-classification", text_pair="text"),
    ]
    encode_fragment(pa.table({"text": ["a river", None]}), heads, tokenizer, route=None, kept_columns=[])
    assert len(columns) == 1
