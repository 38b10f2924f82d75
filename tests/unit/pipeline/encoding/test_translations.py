"""Translations joined with sources and references: the ids of COMET's rule, at every length near the limits."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from transformers import XLMRobertaTokenizer

from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from pipeline.columns import ERROR, NUM_TOKENS, NUM_WINDOWS, context_column, sequence_column
from pipeline.encoding.fragment import encode_fragment
from tests.comet_checkpoints import converted_options
from tests.comet_reference import joined
from tests.tiny_tokenizer import SENTENCES
from tests.unit.pipeline.compute_fixtures import make_head, tiny_config

# Words that are one token each, in the tiny vocabulary.
WORDS = ("every", "pass", "for", "can", "we", "per", "mar")


def encode(tokenizer: XLMRobertaXLTokenizer, columns: dict[str, list[Any]], **options: Any) -> pa.Table:
    if "reference" in columns:
        options["reference"] = "reference"
    config = tiny_config(comet=converted_options("unite"))
    head = make_head("quality", "translation-quality", config=config, **options)
    return encode_fragment(pa.table(columns), [head], tokenizer, route=None, kept_columns=())


def sequences(table: pa.Table) -> list[list[dict[str, Any]]]:
    found: list[list[dict[str, Any]]] = table.column(sequence_column(0)).to_pylist()
    return found


def text(num_tokens: int) -> str:
    return " ".join(WORDS[i % len(WORDS)] for i in range(num_tokens))


def test_pairs_are_those_of_transformers(directory: Path, tokenizer: XLMRobertaXLTokenizer) -> None:
    theirs = XLMRobertaTokenizer(str(directory / "sentencepiece.bpe.model"))
    translations, sources = list(SENTENCES[:20]), list(SENTENCES[20:40])
    table = encode(tokenizer, {"translation": translations, "source": sources})
    expected = theirs(translations, sources).input_ids
    assert [window["input_ids"] for [window] in sequences(table)] == expected
    assert table.column(NUM_TOKENS).to_pylist() == [len(ids) for ids in expected]
    for translation, [window] in zip(translations, sequences(table), strict=True):
        size = len(theirs(translation).input_ids) - 2
        ranges = (window["prefix_size"], window["body_size"], window["owned_begin"], window["owned_end"])
        assert ranges == (1, size, 1, 1 + size)
        offsets = list(zip(window["begins"], window["ends"], strict=True))
        assert offsets[0] == (0, 0)
        assert {*offsets[1 + size :]} == {(0, 0)}
        pieces = theirs.convert_ids_to_tokens(window["input_ids"][1 : 1 + size])
        for piece, (begin, end) in zip(pieces, offsets[1:], strict=False):
            if piece != "▁":
                assert translation[begin:end] == piece.lstrip("▁")


# Tokens of translation, source and reference.
LENGTHS = [
    (3, 4, 5), (0, 2, 2), (2, 0, 2), (0, 0, 0), (507, 1, 1), (508, 1, 1), (509, 1, 1), (600, 600, 600),
    (1, 508, 9), (1, 509, 9), (254, 252, 1), (254, 253, 1), (254, 254, 1), (254, 255, 1), (254, 256, 1),
    (254, 257, 1), (253, 254, 255), (169, 169, 167), (169, 169, 168), (169, 169, 169), (169, 169, 170),
    (200, 306, 3), (508, 508, 0),
]  # fmt: skip


@pytest.mark.parametrize("with_reference", [False, True])
def test_every_length_near_the_limits(tokenizer: XLMRobertaXLTokenizer, with_reference: bool) -> None:
    columns = {
        name: [text(lengths[i]) for lengths in LENGTHS]
        for i, name in enumerate(("translation", "source", "reference"))
    }
    if not with_reference:
        del columns["reference"]
    table = encode(tokenizer, columns, blank="score")
    assert table.column(ERROR).null_count == len(LENGTHS)
    lengths_seen = set()
    for i, found in enumerate(sequences(table)):
        mt, *others = (tokenizer(column[i], add_special_tokens=False).input_ids for column in columns.values())
        parts = [[mt, *others]] if not with_reference else [[mt, others[0]], [mt, others[1]], [mt, *others]]
        assert [window["input_ids"] for window in found] == [joined(*each) for each in parts]
        assert [window["item"] for window in found] == list(range(len(parts)))
        assert {window["body_size"] for window in found} == {min(len(mt), 508)}
        for window in found:
            # All of `<s> translation </s>` is in the sequence.
            assert window["input_ids"][1 + window["body_size"]] == 2
            assert len(window["begins"]) == len(window["ends"]) == len(window["input_ids"])
        lengths_seen |= {len(window["input_ids"]) for window in found}
        whole = sum(sum(map(len, each)) + 2 * len(each) for each in parts)
        assert table.column(NUM_TOKENS)[i].as_py() == whole
        assert table.column(NUM_WINDOWS)[i].as_py() == len(parts)
    assert {510, 511, 512} <= lengths_seen
    assert max(lengths_seen) == 512
    assert table.column(context_column(0)).to_pylist() == columns["translation"]


BAD: list[tuple[dict[str, Any], str, bool]] = [
    ({"source": None}, "column 'source' is null, expected text", False),
    ({"translation": " \n"}, "column 'translation' is blank, expected text", True),
    (
        {"translation": "", "reference": None},
        "column 'translation' is empty, expected text; column 'reference' is null, expected text",
        False,
    ),
    ({"reference": ""}, "column 'reference' is empty, expected text", True),
    ({"source": "\u200b"}, "column 'source' has nothing but invisible characters, expected text", True),
]  # fmt: skip


@pytest.mark.parametrize(("row", "error", "is_scored"), BAD)
def test_rows_that_go_wrong(
    tokenizer: XLMRobertaXLTokenizer, row: dict[str, Any], error: str, is_scored: bool
) -> None:
    good = {"translation": "every pass", "source": "for", "reference": "can we"}
    columns = {name: [value, {**good, **row}[name], value] for name, value in good.items()}
    table = encode(tokenizer, columns)
    assert table.column(ERROR).to_pylist() == [None, error, None]
    found = sequences(table)
    assert [len(windows) for windows in found] == [3, 0, 3]
    assert found[0] == found[2]
    assert table.column(NUM_TOKENS)[1].as_py() == 0
    scored = encode(tokenizer, columns, blank="score")
    assert (scored.column(ERROR)[1].as_py() is None) == is_scored
    assert len(sequences(scored)[1]) == 3 * is_scored
    assert sequences(scored)[2] == found[2]


def test_rows_that_ask_for_something_else_and_none_at_all(tokenizer: XLMRobertaXLTokenizer) -> None:
    config = tiny_config(comet=converted_options("unite"))
    heads = [make_head("quality", "translation-quality", config=config), make_head("vector", "embedding")]
    table = pa.table(
        {"translation": ["a", None], "source": ["b", None], "text": ["c", "d"], "to": [["quality"], ["vector"]]}
    )
    found = encode_fragment(table, heads, tokenizer, route="to", kept_columns=())
    assert found.column(ERROR).null_count == 2
    assert [len(windows) for windows in sequences(found)] == [1, 0]
    nobody = encode_fragment(table[:0], heads, tokenizer, route="to", kept_columns=())
    assert nobody.num_rows == 0
