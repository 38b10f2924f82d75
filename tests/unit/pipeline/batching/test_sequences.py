"""Sequences of a fragment, and batches of them with what each head is to do, against plain loops over rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.arrays.windows import WindowArrays
from pipeline.batching.masking import Vocabulary, sample_masks
from pipeline.batching.rank_batch import make_batch
from pipeline.batching.row_random import row_hashes
from pipeline.batching.sequences import SequenceSet, gather_sequences
from pipeline.batching.trunk_passes import TrunkPass, trunk_passes
from pipeline.heads.resolve import Head
from pipeline.tasks.masked_lm_loss import MaskedLMLossHead
from pipeline.tasks.requests import HeadRequest, Places
from tests.unit.pipeline.compute_fixtures import make_head, window_column, window_of

VOCABULARY = Vocabulary(mask_id=39)
HEADS = [
    make_head("topic", "text-classification"),
    make_head("sampled", "masked-lm-loss", mask_probability=0.4),
    make_head("vector", "embedding"),
    make_head("entails", "text-classification", text_pair="hypothesis"),
    make_head("in turn", "masked-lm-loss", strategy="all"),
    make_head("other trunk", "embedding", trunk="other"),
    make_head("sampled too", "masked-lm-loss", mask_probability=0.4),
]
Row = list[dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """A fragment: heads, the windows of each row for each spec, and who wants what."""

    heads: list[Head]
    rows: list[list[Row]]
    wanted: NDArray[np.bool_]

    @property
    def passes(self) -> list[TrunkPass]:
        return trunk_passes(self.heads)

    @property
    def hashes(self) -> NDArray[np.uint64]:
        return row_hashes("a.parquet", 5, len(self.wanted))

    def gather(self) -> SequenceSet:
        specs = [WindowArrays.from_column(window_column(rows)) for rows in self.rows]
        return gather_sequences(specs, self.passes, self.wanted, self.hashes, VOCABULARY)


@st.composite
def windows(draw: st.DrawFn) -> Row:
    """A text in up to three windows, the tokens of an overlap shared out between its two windows."""
    text = draw(st.lists(st.integers(3, 39), max_size=14))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=2)))
    borders = [0, *cuts, len(text)]
    prefix = draw(st.sampled_from([[0], [0, 8, 2, 2]]))
    shown = []
    for i in range(len(borders) - 1):
        begin, end = max(0, borders[i] - 2), min(len(text), borders[i + 1] + 2)
        shift = len(prefix) - begin
        shown.append(
            window_of(
                [*prefix, *text[begin:end], 2],
                body_begin=begin,
                prefix_size=len(prefix),
                body_size=end - begin,
                owned_begin=borders[i] + shift,
                owned_end=borders[i + 1] + shift,
                is_last=i == len(borders) - 2,
            )
        )
    return shown


@st.composite
def cases(draw: st.DrawFn) -> Case:
    heads = draw(st.lists(st.sampled_from(HEADS), min_size=1, unique_by=lambda head: head.name))
    num_sources = len({head.sequence_spec for head in heads})
    num_rows = draw(st.integers(1, 5))
    row = st.just(list[dict[str, Any]]()) | windows()
    rows = [draw(st.lists(row, min_size=num_rows, max_size=num_rows)) for _ in range(num_sources)]
    flags = draw(st.lists(st.booleans(), min_size=num_rows * len(heads), max_size=num_rows * len(heads)))
    return Case(heads, rows, np.array(flags).reshape(num_rows, len(heads)))


@dataclass(frozen=True)
class Expected:
    """A sequence: its trunk_pass and row, its tokens, and what is to be predicted."""

    trunk_pass: int
    row: int
    ids: list[int]
    labels: list[int]


def expected_sequences(case: Case) -> list[Expected]:
    """Every sequence of a fragment, the slow way."""
    found = []
    for i, trunk_pass in enumerate(case.passes):
        for row, shown in enumerate(case.rows[trunk_pass.spec]):
            if case.wanted[row, list(trunk_pass.heads)].any():
                found += [Expected(i, row, *form) for form in masked_forms(case, trunk_pass, row, shown)]
    return found


def masked_forms(case: Case, trunk_pass: TrunkPass, row: int, shown: Row) -> list[tuple[list[int], list[int]]]:
    """Ids and labels of each sequence that the windows of a row become."""
    masked = {} if trunk_pass.masking is None else sampled_tokens(case, trunk_pass, row, shown)
    forms = []
    for window in shown:
        ids, nothing = list(window["input_ids"]), [-100] * len(window["input_ids"])
        owned = range(window["owned_begin"], window["owned_end"])
        if trunk_pass.masking is not None and trunk_pass.masking.strategy == "all":
            for at in owned:
                one_masked, one_label = list(ids), list(nothing)
                one_masked[at], one_label[at] = VOCABULARY.mask_id, ids[at]
                forms.append((one_masked, one_label))
            continue
        labels = list(nothing)
        for at in owned:
            token = at - window["prefix_size"] + window["body_begin"]
            if token in masked:
                labels[at], ids[at] = ids[at], masked[token]
        forms.append((ids, labels))
    return forms


def sampled_tokens(case: Case, trunk_pass: TrunkPass, row: int, shown: Row) -> dict[int, int]:
    """What the chosen tokens of a row's text are replaced by, drawn as if the text stood in one piece."""
    assert trunk_pass.masking is not None
    text: list[int] = []
    for window in shown:
        text += window["input_ids"][window["owned_begin"] : window["owned_end"]]
    masked, labels = sample_masks(
        np.array(text, dtype=np.int32),
        np.zeros(len(text), dtype=np.int64),
        np.arange(len(text)),
        np.ones(len(text), dtype=bool),
        case.hashes[row : row + 1],
        probability=trunk_pass.masking.probability,
        seed=trunk_pass.masking.seed,
        vocabulary=VOCABULARY,
    )
    return {i: int(masked[i]) for i in np.flatnonzero(labels != -100).tolist()}


@given(cases())
def test_gathered_sequences_are_those_of_a_plain_loop(case: Case) -> None:
    sequences = case.gather()
    found = []
    for i in range(len(sequences)):
        piece = slice(sequences.start[i], sequences.start[i] + sequences.length[i])
        ids, labels = sequences.flat_ids[piece].tolist(), sequences.flat_labels[piece].tolist()
        position = sequences.masked_position[i]
        if position >= 0:
            labels[position], ids[position] = ids[position], VOCABULARY.mask_id
        trunk_pass = int(sequences.trunk_pass[i])
        row = sequences.windows_by_spec[case.passes[trunk_pass].spec].row[sequences.window[i]]
        found.append(Expected(trunk_pass, int(row), ids, labels))
    assert found == expected_sequences(case)


@given(cases(), st.data())
def test_a_batch_holds_the_chosen_sequences_and_asks_each_head_for_its_own(
    case: Case, data: st.DataObject
) -> None:
    sequences, expected = case.gather(), expected_sequences(case)
    trunks = [case.passes[sequence.trunk_pass].trunk for sequence in expected]
    if not trunks:
        return
    trunk = data.draw(st.sampled_from(sorted(set(trunks))))
    here = [i for i, t in enumerate(trunks) if t == trunk]
    indices = data.draw(st.lists(st.sampled_from(here), min_size=1, unique=True))
    batch, places = make_batch(
        sequences, np.array(indices), case.passes, case.heads, case.wanted, VOCABULARY.mask_id
    )
    assert batch.trunk == trunk
    assert not batch.generates
    assert batch.lengths.tolist() == [len(expected[i].ids) for i in indices]
    assert batch.input_ids.tolist() == [token for i in indices for token in expected[i].ids]
    assert batch.input_ids.dtype == batch.lengths.dtype == np.int32
    assert_requests(case, [(i, expected[i]) for i in indices], batch.requests, places)


def assert_requests(
    case: Case,
    chosen: list[tuple[int, Expected]],
    requests: dict[str, HeadRequest],
    places: dict[str, Places],
) -> None:
    """Every head's index, labels and places, against a plain loop over the chosen sequences."""
    expected: dict[str, list[tuple[int, int | None, int, int]]] = {}
    begin = 0
    for number, (i, sequence) in enumerate(chosen):
        for h in case.passes[sequence.trunk_pass].heads:
            if not case.wanted[sequence.row, h]:
                continue
            asked = expected.setdefault(case.heads[h].name, [])
            if isinstance(case.heads[h].options, MaskedLMLossHead):
                labelled = [(t, label) for t, label in enumerate(sequence.labels) if label != -100]
                asked += [(begin + t, label, i, t) for t, label in labelled]
            else:
                asked.append((number, None, i, 0))
        begin += len(sequence.ids)
    found = {}
    for name, request in requests.items():
        assert request.index.dtype == np.int32
        labels = [None] * len(request.index) if request.labels is None else request.labels.tolist()
        at = places[name]
        found[name] = list(
            zip(request.index.tolist(), labels, at.sequence.tolist(), at.position.tolist(), strict=True)
        )
    assert places.keys() == requests.keys()
    assert found == {name: asked for name, asked in expected.items() if asked}


def test_making_a_batch_leaves_the_set_as_it_was() -> None:
    case = Case([HEADS[4]], [[[window_of([0, 5, 6, 2])]]], np.array([[True]]))
    sequences = case.gather()
    for _ in range(2):
        batch, _ = make_batch(
            sequences, np.array([1, 0]), case.passes, case.heads, case.wanted, VOCABULARY.mask_id
        )
        assert batch.input_ids.tolist() == [0, 5, 39, 2, 0, 39, 6, 2]
        labels = batch.requests["in turn"].labels
        assert labels is not None
        assert labels.tolist() == [6, 5]
    assert sequences.flat_ids.tolist() == [0, 5, 6, 2]


def test_a_fragment_without_sequences() -> None:
    case = Case(HEADS[:3], [[[], [window_of([0, 5, 2])]]], np.array([[True] * 3, [False] * 3]))
    assert len(case.gather()) == 0


def test_a_column_may_be_a_slice_of_another() -> None:
    """Its offsets do not begin at 0 then."""
    rows = [[window_of([0, 9, 9, 2])], [], [window_of([0, 5, 2]), window_of([0, 6, 2])], [window_of([0, 7, 2])]]
    arrays = WindowArrays.from_column(window_column(rows).slice(1, 2))
    assert arrays.row.tolist() == [1, 1]
    assert arrays.ids.values.tolist() == [0, 5, 2, 0, 6, 2]
    assert arrays.ids.lengths.tolist() == arrays.ends.lengths.tolist() == [3, 3]


QUESTION = window_of([0, 11, 12, 2, 2, 20, 21, 22, 2], prefix_size=5, body_size=3, owned_begin=5, owned_end=7)
TEXT = window_of([0, 30, 39, 32, 39, 2], owned_begin=2, owned_end=5)


@pytest.mark.parametrize(
    ("task", "options", "window", "expected"),
    [
        ("token-classification", {}, TEXT, [2, 3, 4]),
        ("embedding", {"level": "token"}, TEXT, [2, 3, 4]),
        ("fill-mask", {}, TEXT, [2, 4]),
        ("question-answering", {}, QUESTION, [0, 5, 6, 7]),
        ("multiple-choice", {}, QUESTION, None),
        ("zero-shot-classification", {"labels": ["a", "b"]}, QUESTION, None),
    ],
)
def test_a_head_asks_for_the_tokens_that_it_needs_and_no_others(
    task: str, options: dict[str, Any], window: dict[str, Any], expected: list[int] | None
) -> None:
    """Expected are positions in the sequence; None where a head reads the sequence as a whole."""
    case = Case([make_head("head", task, **options)], [[[window], [window]]], np.array([[True], [True]]))
    sequences = case.gather()
    batch, places = make_batch(
        sequences, np.array([1, 0]), case.passes, case.heads, case.wanted, VOCABULARY.mask_id
    )
    length = len(window["input_ids"])
    index = batch.requests["head"].index.tolist()
    assert index == ([0, 1] if expected is None else expected + [length + i for i in expected])
    assert places["head"].position.tolist() == 2 * ([0] if expected is None else expected)
    assert places["head"].sequence.tolist() == [1] * (len(index) // 2) + [0] * (len(index) // 2)


@pytest.mark.parametrize(
    ("is_last", "expected"), [(True, [(1, 39), (2, 32), (3, 39), (4, 2)]), (False, [(1, 39), (2, 32), (3, 39)])]
)
def test_a_causal_loss_predicts_each_owned_token_from_the_one_before_and_the_end_of_the_text(
    is_last: bool, expected: list[tuple[int, int]]
) -> None:
    case = Case([make_head("head", "causal-lm-loss")], [[[TEXT | {"is_last": is_last}]]], np.array([[True]]))
    batch, _ = make_batch(case.gather(), np.array([0]), case.passes, case.heads, case.wanted, VOCABULARY.mask_id)
    request = batch.requests["head"]
    assert request.labels is not None
    assert list(zip(request.index.tolist(), request.labels.tolist(), strict=True)) == expected


def test_prompts_of_a_head_are_seeded_by_what_they_hold() -> None:
    def seed(ids: list[int], seed: int) -> int:
        case = Case([make_head("head", "text-generation", seed=seed)], [[[window_of(ids)]]], np.array([[True]]))
        batch, _ = make_batch(
            case.gather(), np.array([0]), case.passes, case.heads, case.wanted, VOCABULARY.mask_id
        )
        assert batch.generates
        return batch.seed

    assert seed([0, 5, 2], 0) == seed([0, 5, 2], 0)
    assert len({seed([0, 5, 2], 0), seed([0, 6, 2], 0), seed([0, 5, 2], 1)}) == 3
