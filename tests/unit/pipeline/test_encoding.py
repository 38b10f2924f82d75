from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.tokenizer import XLMRobertaXLTokenizer
from pipeline.columns import sequence_column
from pipeline.encoding import encode_fragment, load_tokenizer
from pipeline.heads import Head
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
    max_num_tokens: int = 512,
    kept_columns: tuple[str, ...] = (),
) -> dict[str, list[Any]]:
    result = encode_fragment(
        table, heads, tokenizer, route=route, max_num_tokens=max_num_tokens, kept_columns=kept_columns
    )
    result.validate(full=True)
    columns: dict[str, list[Any]] = result.to_pydict()
    return columns


def test_texts_become_what_the_tokenizer_makes_of_them(tokenizer: XLMRobertaXLTokenizer) -> None:
    table = pa.table({"id": range(len(SENTENCES)), "text": SENTENCES})
    columns = encoded(table, [TOPIC, VECTOR], tokenizer, kept_columns=("id",))
    assert list(columns) == ["id", "num_tokens", "num_windows", "error", sequence_column(0)]
    assert columns["id"] == list(range(len(SENTENCES)))
    assert columns[sequence_column(0)] == [tokenizer.encode(text) for text in SENTENCES]
    assert columns["num_tokens"] == [len(ids) for ids in columns[sequence_column(0)]]
    assert columns["num_windows"] == [1] * len(SENTENCES)
    assert columns["error"] == [None] * len(SENTENCES)


def test_the_types_are_those_of_the_output(tokenizer: XLMRobertaXLTokenizer) -> None:
    table = pa.table({"text": pa.array([None], pa.string())})
    result = encode_fragment(table, [TOPIC], tokenizer, route=None, max_num_tokens=512, kept_columns=[])
    assert result.schema.types == [pa.int32(), pa.int32(), pa.string(), pa.list_(pa.int32())]


def test_pairs_are_one_sequence(tokenizer: XLMRobertaXLTokenizer) -> None:
    table = pa.table({"text": SENTENCES[:4], "hypothesis": SENTENCES[4:8]})
    columns = encoded(table, [ENTAILS], tokenizer)
    pairs = zip(SENTENCES[:4], SENTENCES[4:8], strict=True)
    assert columns[sequence_column(0)] == [tokenizer.encode(a, b) for a, b in pairs]


BAD_ROWS = [
    (None, "is null"),
    (b"", "is empty"),
    (b" \t\n\xc2\xa0", "is blank"),
    ("\u200b\u200e".encode(), "has nothing but invisible characters"),
    (f"{SECRET}".encode() + b"\xff\xfe", f"is not UTF-8 (byte {len(SECRET)})"),
    (b"\xed\xa0\x80", "is not UTF-8 (byte 0)"),
]


@pytest.mark.parametrize(("value", "problem"), BAD_ROWS)
@pytest.mark.parametrize("type_", [pa.string(), pa.binary(), pa.large_string()])
def test_a_bad_row_has_an_error_that_names_the_column_and_not_the_text(
    value: bytes | None, problem: str, type_: pa.DataType, tokenizer: XLMRobertaXLTokenizer
) -> None:
    # Viewed, not cast: Arrow checks UTF-8 in a cast, and not in what is read from a file.
    large = pa.types.is_large_string(type_)
    texts = pa.array(
        [SENTENCES[0].encode(), value, SENTENCES[1].encode()], pa.large_binary() if large else pa.binary()
    )
    table = pa.table({"text": texts.view(type_)})
    columns = encoded(table, [TOPIC, VECTOR], tokenizer)
    assert columns["error"] == [None, f"column 'text' {problem}, expected text", None]
    assert columns["num_tokens"][1] == columns["num_windows"][1] == 0
    assert columns[sequence_column(0)] == [tokenizer.encode(SENTENCES[0]), None, tokenizer.encode(SENTENCES[1])]
    assert SECRET not in str(columns["error"])


def test_each_bad_column_is_named_and_the_other_sources_go_on(tokenizer: XLMRobertaXLTokenizer) -> None:
    table = pa.table({"text": [SENTENCES[0], "", " "], "hypothesis": [None, "", SENTENCES[1]]})
    columns = encoded(table, [TOPIC, ENTAILS], tokenizer)
    assert columns["error"] == [
        "column 'hypothesis' is null, expected text",
        "column 'text' is empty, expected text; column 'hypothesis' is empty, expected text",
        "column 'text' is blank, expected text",
    ]
    assert columns[sequence_column(0)] == [tokenizer.encode(SENTENCES[0]), None, None]
    assert columns[sequence_column(1)] == [None, None, None]
    assert columns["num_windows"] == [1, 0, 0]


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
        "route: found 'vectors', expected names among topic, entails",
    ]
    ids = tokenizer.encode(SENTENCES[0])
    assert columns[sequence_column(0)] == [ids, ids, None, None]
    assert columns[sequence_column(1)] == [None] * 4
    assert columns["num_tokens"] == [len(ids), len(ids), 0, 0]


def test_a_fragment_of_bad_rows(tokenizer: XLMRobertaXLTokenizer) -> None:
    columns = encoded(pa.table({"text": pa.array([None, ""], pa.string())}), [TOPIC], tokenizer)
    assert columns[sequence_column(0)] == [None, None]
    assert columns["num_tokens"] == [0, 0]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=8), st.integers(4, 40))
def test_a_long_row_is_cut_and_tells_its_full_length(
    tokenizer: XLMRobertaXLTokenizer, lengths: list[int], max_num_tokens: int
) -> None:
    texts = [" ".join([SENTENCES[i % 7]] * (n // 8 + 1)) for i, n in enumerate(lengths)]
    table = pa.table({"text": texts, "hypothesis": texts[::-1]})
    columns = encoded(table, [TOPIC, ENTAILS], tokenizer, max_num_tokens=max_num_tokens)
    single = [len(ids) for ids in tokenizer(texts)["input_ids"]]
    pair = [len(ids) for ids in tokenizer(texts, texts[::-1])["input_ids"]]
    assert columns["num_tokens"] == np.add(single, pair).tolist()
    assert columns["num_windows"] == [2] * len(texts)
    for column, full_lengths in ((0, single), (1, pair)):
        found = [len(ids) for ids in columns[sequence_column(column)]]
        assert found == [min(n, max_num_tokens) for n in full_lengths]
    for ids in columns[sequence_column(0)]:
        assert (ids[0], ids[-1]) == (0, 2)


def test_special_tokens_in_a_text_are_plain_characters(tokenizer: XLMRobertaXLTokenizer) -> None:
    table = pa.table({"text": ["a </s> b <mask> c <pad><s>"]})
    [ids] = encoded(table, [TOPIC], tokenizer)[sequence_column(0)]
    assert not set(ids[1:-1]) & {0, 1, 2, tokenizer.mask_token_id}


def test_a_tokenizer_is_read_once_a_process(tmp_path: Path) -> None:
    write_tiny_sentencepiece(tmp_path)
    assert load_tokenizer(str(tmp_path)) is load_tokenizer(str(tmp_path))
