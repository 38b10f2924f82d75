"""From rows to batches: every head is asked for what it needs of each row that wants it, once, and for no more."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from pipeline.arrays.windows import WindowArrays
from pipeline.batching.masking import Vocabulary
from pipeline.batching.rank_batch import RankBatch, make_batch
from pipeline.batching.row_random import row_hashes
from pipeline.batching.sequences import SequenceSet, gather_sequences
from pipeline.batching.token_budget_batches import plan_batches
from pipeline.batching.trunk_passes import trunk_passes
from pipeline.columns import WANTED, sequence_column
from pipeline.encoding.fragment import encode_fragment
from pipeline.heads.resolve import sequence_specs
from pipeline.tasks.requests import HeadRequest, Places
from tests.tiny_tokenizer import SENTENCES, write_tiny_sentencepiece
from tests.unit.pipeline.compute_fixtures import make_head

CUT: dict[str, Any] = {"window": 16, "stride": 5}
HEADS = [
    make_head("topic", "text-classification", **CUT),
    make_head("entities", "token-classification", **CUT),
    make_head("mean", "embedding", **CUT),
    make_head("vectors", "embedding", level="token", **CUT),
    make_head("fill", "fill-mask", text="masked", **CUT),
    make_head("sampled", "masked-lm-loss", **CUT),
    make_head("every", "masked-lm-loss", strategy="all", **CUT),
    make_head("answer", "question-answering", context="text", question="question", **CUT),
    make_head("choice", "multiple-choice", prompt="text", choices="choices", **CUT),
    make_head("causal", "causal-lm-loss", trunk="decoder", **CUT),
    make_head("longer", "text-generation", trunk="decoder", max_new_tokens=500),
]
NAMES = [head.name for head in HEADS]
ON_SEQUENCES = {"topic", "mean", "choice", "longer"}
"""Heads that read a sequence as a whole; the others read tokens of it."""


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> XLMRobertaXLTokenizer:
    return XLMRobertaXLTokenizer(write_tiny_sentencepiece(tmp_path_factory.mktemp("tokenizer")))


class Asked(NamedTuple):
    """One thing that a head is asked for: a window, or a token of the text (negative: what is in front)."""

    row: int
    item: int
    window: int
    token: int | None = None
    found: int | None = None
    label: int | None = None


@dataclass(frozen=True)
class Fragment:
    """An encoded table with its sequences; `wanted` bool `[rows, heads]`."""

    table: pa.Table
    sequences: SequenceSet
    wanted: np.ndarray

    def windows(self, name: str) -> list[tuple[int, int, dict[str, Any]]]:
        """The windows that a head has to read: number, row, and what it is."""
        spec = sequence_specs(HEADS).index(HEADS[NAMES.index(name)].sequence_spec)
        rows = self.table.column(sequence_column(spec)).to_pylist()
        numbered = enumerate((row, window) for row, windows in enumerate(rows) for window in windows)
        return [(n, row, window) for n, (row, window) in numbered if self.wanted[row, NAMES.index(name)]]


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """A few rows of some sentences, with the heads that each asks for."""
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        text = " ".join(draw(st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=2)))
        at = draw(st.integers(0, 20))
        rows.append(
            {
                "text": text,
                "masked": f"{text[:at]} <mask> {text[at:]}<mask>",
                "question": draw(st.sampled_from(SENTENCES))[:12],
                "choices": draw(
                    st.lists(st.sampled_from(["a ship", "bread", "the road"]), min_size=1, max_size=3)
                ),
                "route": draw(st.lists(st.sampled_from(NAMES), unique=True)),
            }
        )
    return pa.Table.from_pylist(rows)


def fragment_of(table: pa.Table, tokenizer: XLMRobertaXLTokenizer) -> Fragment:
    encoded = encode_fragment(table, HEADS, tokenizer, route="route", kept_columns=[])
    flags = encoded.column(WANTED).combine_chunks().flatten().to_numpy(zero_copy_only=False)
    wanted = flags.reshape(-1, len(HEADS))
    columns = [encoded.column(sequence_column(i)).combine_chunks() for i in range(len(sequence_specs(HEADS)))]
    sequences = gather_sequences(
        [WindowArrays.from_column(column) for column in columns],
        trunk_passes(HEADS),
        wanted,
        row_hashes("a.parquet", 0, table.num_rows),
        Vocabulary(tokenizer.mask_token_id),
    )
    return Fragment(encoded, sequences, wanted)


def asked_in_batches(
    fragment: Fragment, tokenizer: XLMRobertaXLTokenizer, token_budget: int
) -> dict[str, list[Asked]]:
    """By head, what all batches together ask it for."""
    sequences, passes = fragment.sequences, trunk_passes(HEADS)
    kinds = np.array([f"{passes[i].trunk} {passes[i].generates}" for i in sequences.trunk_pass.tolist()])
    asked: dict[str, list[Asked]] = {name: [] for name in NAMES}
    for kind in sorted(set(kinds.tolist())):
        here = np.flatnonzero(kinds == kind)
        for chosen in plan_batches(sequences.length[here], token_budget):
            indices = here[chosen]
            batch, places = make_batch(sequences, indices, passes, HEADS, fragment.wanted, tokenizer.mask_token_id)
            assert f"{batch.trunk} {batch.generates}" == kind
            assert len(batch.input_ids) <= token_budget or len(indices) == 1
            for name, request in batch.requests.items():
                asked[name] += asked_of(fragment, indices, batch, request, places[name], name in ON_SEQUENCES)
    return asked


def asked_of(
    fragment: Fragment,
    indices: np.ndarray,
    batch: RankBatch,
    request: HeadRequest,
    places: Places,
    is_on_sequences: bool,
) -> Iterator[Asked]:
    """What a head is asked for in a batch; the index says where that is, the places say where it belongs."""
    sequences, passes = fragment.sequences, trunk_passes(HEADS)
    begins = np.cumsum(batch.lengths) - batch.lengths
    for k, index in enumerate(request.index.tolist()):
        sequence, position = int(places.sequence[k]), int(places.position[k])
        windows = sequences.windows_by_spec[passes[sequences.trunk_pass[sequence]].spec]
        window = int(sequences.window[sequence])
        place = (int(windows.row[window]), int(windows.item[window]), window)
        if is_on_sequences:
            assert (indices[index], position) == (sequence, 0)
            yield Asked(*place)
        else:
            assert index == begins[indices.tolist().index(sequence)] + position
            token = position - int(windows.prefix_size[window]) + int(windows.body_begin[window])
            label = None if request.labels is None else int(request.labels[k])
            yield Asked(*place, token, int(batch.input_ids[index]), label)


@settings(max_examples=50)
@given(tables(), st.sampled_from([16, 100, 10_000]))
def test_every_head_is_asked_for_what_it_needs_once(
    tokenizer: XLMRobertaXLTokenizer, table: pa.Table, token_budget: int
) -> None:
    fragment = fragment_of(table, tokenizer)
    asked = asked_in_batches(fragment, tokenizer, token_budget)
    mask_id = tokenizer.mask_token_id
    for name in NAMES:
        expected = []
        for number, row, window in fragment.windows(name):
            place = (row, window["item"], number)
            ids, shift = window["input_ids"], window["body_begin"] - window["prefix_size"]
            owned = range(window["owned_begin"], window["owned_end"])
            match name:
                case "topic" | "mean" | "choice" | "longer":
                    expected.append(Asked(*place))
                case "entities" | "vectors":
                    expected += [Asked(*place, at + shift, ids[at]) for at in owned]
                case "fill":
                    expected += [Asked(*place, at + shift, mask_id) for at in owned if ids[at] == mask_id]
                case "every":
                    expected += [Asked(*place, at + shift, mask_id, ids[at]) for at in owned]
                case "causal":
                    targets = range(owned.start, owned.stop + window["is_last"])
                    expected += [Asked(*place, at - 1 + shift, ids[at - 1], ids[at]) for at in targets]
                case "answer":
                    body = range(window["prefix_size"], window["prefix_size"] + window["body_size"])
                    expected += [Asked(*place, at + shift, ids[at]) for at in (0, *body)]
                case "sampled":
                    expected += [Asked(*place, at + shift, None, ids[at]) for at in owned]
        if name == "sampled":
            assert_sampled(asked[name], expected)
        else:
            assert sorted(asked[name]) == sorted(expected), name


def assert_sampled(asked: list[Asked], all_tokens: list[Asked]) -> None:
    """15 in a hundred tokens of each row, at least one, each with the token that was there as its label."""
    labelled = [entry._replace(found=None) for entry in asked]
    assert len(set(labelled)) == len(labelled)
    assert set(labelled) <= set(all_tokens)
    for row in {entry.row for entry in all_tokens}:
        num_tokens = sum(entry.row == row for entry in all_tokens)
        num_masked = sum(entry.row == row for entry in asked)
        assert num_masked == max(1, round(0.15 * num_tokens))


@settings(max_examples=50)
@given(tables())
def test_one_sequence_serves_all_heads_that_read_it(tokenizer: XLMRobertaXLTokenizer, table: pa.Table) -> None:
    """Of one trunk_pass there is one sequence a window, as long as any of its heads wants the row."""
    fragment = fragment_of(table, tokenizer)
    sequences, passes = fragment.sequences, trunk_passes(HEADS)
    together = [{NAMES[h] for h in trunk_pass.heads} for trunk_pass in passes]
    assert {"topic", "entities", "mean", "vectors"} in together
    for i, names in enumerate(together):
        windows = {number: window for name in names for number, _, window in fragment.windows(name)}
        found = sequences.window[sequences.trunk_pass == i].tolist()
        if names == {"every"}:
            assert len(found) == sum(w["owned_end"] - w["owned_begin"] for w in windows.values())
        else:
            assert sorted(found) == sorted(windows)


def test_nothing_is_asked_for_rows_that_are_not_wanted(tokenizer: XLMRobertaXLTokenizer) -> None:
    row = {"text": SENTENCES[0], "masked": "a <mask>", "question": "b", "choices": ["c"]}
    fragment = fragment_of(pa.Table.from_pylist([row | {"route": ["fill"]}, row | {"route": []}]), tokenizer)
    asked = asked_in_batches(fragment, tokenizer, 100)
    assert {name: {entry.row for entry in entries} for name, entries in asked.items() if entries} == {"fill": {0}}
    assert len(fragment.sequences) == 1
