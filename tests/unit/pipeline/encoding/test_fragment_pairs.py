"""Pairs of every task: whole where they fit one window, as Transformers' tokenizer has them; else in windows."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from transformers import XLMRobertaTokenizer

from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from pipeline.arrays.windows import cut_windows
from pipeline.columns import sequence_column
from pipeline.encoding.fragment import encode_fragment
from tests.unit.pipeline.compute_fixtures import make_head

BOS, EOS = [0], [2]
NUM_SPECIAL = 4
# Words that are one token each, in the tiny vocabulary.
BODY_WORDS = ("every", "pass", "for", "can", "we", "per", "mar")
COMPANION_WORDS = ("est", "com", "un", "la", "to", "di", "so", "pe")

Window = dict[str, Any]


class Row(NamedTuple):
    """How many tokens a body has, and each of its companions."""

    body: int
    companions: list[int]

    @property
    def text(self) -> str:
        return _words(BODY_WORDS, self.body)

    @property
    def texts(self) -> list[str]:
        return [_words(COMPANION_WORDS, length) for length in self.companions]


def _words(words: tuple[str, ...], count: int) -> str:
    return " ".join(words[i % len(words)] for i in range(count))


class Kind(NamedTuple):
    """A way to have pairs: the options of a head, how many companions a row may have, and the order of the two."""

    options: dict[str, Any]
    num_companions: tuple[int, int] = (1, 3)
    is_first: bool = False


CHOICE = {"task": "multiple-choice", "prompt": "text"}
ZERO_SHOT = {"task": "zero-shot-classification", "hypothesis_template": "{}"}
KINDS = {
    "second text": Kind({"task": "text-classification", "text_pair": "c0"}, (1, 1)),
    "question": Kind({"task": "question-answering", "context": "text", "question": "c0"}, (1, 1), is_first=True),
    "choices in a list": Kind(CHOICE | {"choices": "companions"}),
    "choices in columns": Kind(CHOICE | {"choices": ["c0", "c1"]}, (2, 2)),
    "labels": Kind(ZERO_SHOT),
    "labels in a column": Kind(ZERO_SHOT | {"labels_column": "companions"}),
}


@pytest.fixture(scope="module")
def oracle(directory: Path) -> XLMRobertaTokenizer:
    return XLMRobertaTokenizer(str(directory / "sentencepiece.bpe.model"))


def encoded(rows: list[Row], kind: Kind, tokenizer: XLMRobertaXLTokenizer, **cutting: Any) -> dict[str, Any]:
    """The columns of rows that all heads of a kind find their texts in."""
    columns: dict[str, Any] = {
        "text": [row.text for row in rows],
        "companions": pa.array([row.texts for row in rows], pa.list_(pa.string())),
        "c0": [row.texts[0] for row in rows],
        "c1": [row.texts[-1] for row in rows],
    }
    options = kind.options | cutting
    if kind is KINDS["labels"]:
        options |= {"labels": rows[0].texts}
    found = encode_fragment(pa.table(columns), [make_head("h", **options)], tokenizer, route=None, kept_columns=[])
    found.validate(full=True)
    as_dict: dict[str, Any] = found.to_pydict()
    assert as_dict["error"] == [None] * len(rows)
    return as_dict


@st.composite
def rows_of(draw: st.DrawFn, kind: Kind) -> list[Row]:
    """The labels of a head are those of all rows, so that there is one row."""
    few, many = kind.num_companions
    lengths = st.lists(st.integers(1, 70), min_size=few, max_size=many, unique=True)
    max_rows = 1 if kind is KINDS["labels"] else 3
    return draw(st.lists(st.builds(Row, st.integers(1, 90), lengths), min_size=1, max_size=max_rows))


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data(), window=st.integers(16, 64), truncate=st.booleans())
def test_what_fits_one_window_is_the_pair_of_transformers(
    tokenizer: XLMRobertaXLTokenizer,
    oracle: XLMRobertaTokenizer,
    name: str,
    data: st.DataObject,
    window: int,
    truncate: bool,
) -> None:
    kind = KINDS[name]
    rows = data.draw(rows_of(kind))
    stride = data.draw(st.integers(0, (window - 1) // 2))
    columns = encoded(rows, kind, tokenizer, window=window, stride=stride, truncate=truncate)
    for i, row in enumerate(rows):
        windows = columns[sequence_column(0)][i]
        wholes = [_whole(oracle, kind, row.text, companion) for companion in row.texts]
        assert columns["num_tokens"][i] == sum(map(len, wholes))
        assert columns["num_windows"][i] == len(windows)
        assert [w["item"] for w in windows] == sorted(w["item"] for w in windows)
        for item, whole in enumerate(wholes):
            shown = [w for w in windows if w["item"] == item]
            assert all(len(w["input_ids"]) <= window for w in shown)
            if len(whole) <= window:
                assert [w["input_ids"] for w in shown] == [whole]
                assert shown[0]["body_size"] == shown[0]["owned_end"] - shown[0]["owned_begin"] == row.body
            else:
                assert max(len(w["input_ids"]) for w in shown) == window, "room is left"
                assert len(shown) == 1 or not truncate


def _whole(oracle: XLMRobertaTokenizer, kind: Kind, body: str, companion: str) -> list[int]:
    ids: list[int] = oracle(*((companion, body) if kind.is_first else (body, companion)))["input_ids"]
    return ids


@pytest.mark.parametrize("name", ["second text", "question"])
@given(body=st.integers(1, 90), companion=st.integers(1, 70), window=st.integers(16, 64), stride=st.integers(0, 7))
@example(body=30, companion=30, window=64, stride=7)  # exactly full
@example(body=31, companion=30, window=64, stride=7)  # a token too many
@example(body=30, companion=31, window=64, stride=7)
@example(body=1, companion=60, window=64, stride=7)
@example(body=60, companion=1, window=64, stride=7)
@example(body=60, companion=2, window=64, stride=7)
@example(body=7, companion=70, window=16, stride=7)  # more stride than half of the room of 6 that is left
@example(body=8, companion=70, window=17, stride=7)  # an odd room
def test_what_does_not_fit_is_the_companion_beside_every_window(
    tokenizer: XLMRobertaXLTokenizer,
    oracle: XLMRobertaTokenizer,
    name: str,
    body: int,
    companion: int,
    window: int,
    stride: int,
) -> None:
    """The companion keeps what the body leaves, and at least half; windows over the body have the rest."""
    kind, row = KINDS[name], Row(body, [companion])
    columns = encoded([row], kind, tokenizer, window=window, stride=stride)
    room = window - NUM_SPECIAL
    kept = min(companion, room - body if body <= room / 2 else room // 2)
    if body + companion <= room:
        kept = companion
    text, other = (oracle(t, add_special_tokens=False)["input_ids"] for t in (row.text, row.texts[0]))
    prefix, suffix = BOS, [*EOS, *EOS, *other[:kept], *EOS]
    if kind.is_first:
        prefix, suffix = [*BOS, *other[:kept], *EOS, *EOS], EOS
    expected = cut_windows(np.array([body]), np.array([room - kept]), stride)
    spans = list(zip(expected.begin.tolist(), expected.end.tolist(), strict=True))
    owned = list(zip(expected.owned_begin.tolist(), expected.owned_end.tolist(), strict=True))
    found: list[Window] = columns[sequence_column(0)][0]
    assert [w["input_ids"] for w in found] == [[*prefix, *text[begin:end], *suffix] for begin, end in spans]
    assert [_owned(w) for w in found] == owned
    assert len(found) == 1 or body > room // 2


def _owned(window: Window) -> tuple[int, int]:
    """Tokens of the body that a window owns."""
    shift = window["body_begin"] - window["prefix_size"]
    return window["owned_begin"] + shift, window["owned_end"] + shift


@given(body=st.integers(1, 90), companion=st.integers(1, 70), half=st.integers(8, 32))
def test_a_truncated_pair_is_the_first_of_its_windows(
    tokenizer: XLMRobertaXLTokenizer, body: int, companion: int, half: int
) -> None:
    """Of an odd window, the two may differ in which text has the odd token."""
    row = Row(body, [companion])
    windows, [truncated] = (
        encoded([row], KINDS["second text"], tokenizer, window=2 * half, truncate=truncate)[sequence_column(0)][0]
        for truncate in (False, True)
    )
    assert windows[0]["input_ids"] == truncated["input_ids"]
    assert len(windows) > 1 or windows[0] == truncated


@pytest.mark.parametrize(
    ("companions", "num_windows"),
    [([370], 1), ([498], 1), ([499], 1), ([900], 1), ([5, 498, 900], 3), ([250, 1], 2)],
)
def test_a_short_text_is_one_window_beside_any_companion(
    tokenizer: XLMRobertaXLTokenizer, companions: list[int], num_windows: int
) -> None:
    kind = KINDS["choices in a list"]
    columns = encoded([Row(10, companions)], kind, tokenizer)
    assert columns["num_windows"] == [num_windows]
    assert [len(w["input_ids"]) for w in columns[sequence_column(0)][0]] == [
        min(512, 10 + n + NUM_SPECIAL) for n in companions
    ]


def test_choices_of_a_row_are_cut_each_by_itself(tokenizer: XLMRobertaXLTokenizer) -> None:
    """With a text of 300 tokens the first fits, the second is whole beside windows, the third is cut to half."""
    columns = encoded([Row(300, [208, 209, 400])], KINDS["choices in a list"], tokenizer, stride=100)
    windows = columns[sequence_column(0)][0]
    shown = [(w["item"], w["body_begin"], w["body_size"], len(w["input_ids"])) for w in windows]
    assert shown == [(0, 0, 300, 512), (1, 0, 299, 512), (1, 1, 299, 512), (2, 0, 254, 512), (2, 46, 254, 512)]
