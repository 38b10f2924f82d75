from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.draws import row_hashes
from pipeline.head_config import MaskedLMLossHead
from pipeline.heads import Head
from pipeline.masking import Vocabulary, sample_masks
from pipeline.routing import Stream, streams_of
from pipeline.sequences import HeadRequest, SequenceSet, gather_sequences, make_batch
from tests.unit.pipeline.compute_fixtures import flat, id_column, make_head, token_lists

VOCABULARY = Vocabulary(mask_id=39)
HEADS = [
    make_head("topic", "text-classification"),
    make_head("sampled", "masked-lm-loss"),
    make_head("vector", "embedding"),
    make_head("entails", "text-classification", text_pair="hypothesis"),
    make_head("in turn", "masked-lm-loss", strategy="all"),
    make_head("other trunk", "embedding", trunk="other"),
    make_head("sampled too", "masked-lm-loss"),
]


@dataclass(frozen=True)
class Case:
    """A fragment: heads, token ids of each source, and who wants what."""

    heads: list[Head]
    rows: list[list[list[int] | None]]
    wanted: NDArray[np.bool_]

    @property
    def streams(self) -> list[Stream]:
        return streams_of(self.heads)

    @property
    def hashes(self) -> NDArray[np.uint64]:
        return row_hashes("a.parquet", 5, len(self.wanted))

    def gather(self) -> SequenceSet:
        return gather_sequences(
            [id_column(rows) for rows in self.rows], self.streams, self.wanted, self.hashes, VOCABULARY
        )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    heads = draw(st.lists(st.sampled_from(HEADS), min_size=1, unique_by=lambda head: head.name))
    num_sources = len({head.source for head in heads})
    num_rows = draw(st.integers(1, 6))
    row = st.none() | token_lists(40)
    rows = [draw(st.lists(row, min_size=num_rows, max_size=num_rows)) for _ in range(num_sources)]
    flags = draw(st.lists(st.booleans(), min_size=num_rows * len(heads), max_size=num_rows * len(heads)))
    return Case(heads, rows, np.array(flags).reshape(num_rows, len(heads)))


Expected = tuple[int, int, tuple[int, ...], tuple[int, ...]]


def expected_sequences(case: Case) -> list[Expected]:
    """(stream, row, ids, labels) of every sequence, the slow way."""
    found: list[Expected] = []
    for i, stream in enumerate(case.streams):
        for row, ids in enumerate(case.rows[stream.source]):
            if ids is not None and case.wanted[row, list(stream.heads)].any():
                found += [(i, row, *masked) for masked in masked_forms(case, stream.masking, row, ids)]
    return found


def masked_forms(
    case: Case, masking: MaskedLMLossHead | None, row: int, ids: list[int]
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Ids and labels of each sequence that a row's ids become."""
    nothing = [-100] * len(ids)
    if masking is None:
        return [(tuple(ids), tuple(nothing))]
    if masking.strategy == "sample":
        masked, labels = sample_masks(
            *flat([ids]),
            case.hashes[row : row + 1],
            probability=masking.mask_probability,
            seed=masking.seed,
            vocabulary=VOCABULARY,
        )
        return [(tuple(masked.tolist()), tuple(labels.tolist()))]
    forms = []
    for position, token in enumerate(ids):
        if token > 2:
            masked_ids, labels_there = list(ids), list(nothing)
            masked_ids[position], labels_there[position] = VOCABULARY.mask_id, token
            forms.append((tuple(masked_ids), tuple(labels_there)))
    return forms


@given(cases())
def test_gathered_sequences_are_those_of_a_plain_loop(case: Case) -> None:
    sequences = case.gather()
    found = []
    for i in range(len(sequences)):
        piece = slice(sequences.start[i], sequences.start[i] + sequences.length[i])
        ids, labels = sequences.flat_ids[piece].copy(), sequences.flat_labels[piece].copy()
        position = sequences.masked_position[i]
        if position >= 0:
            labels[position], ids[position] = ids[position], VOCABULARY.mask_id
        found.append((sequences.stream[i], sequences.row[i], tuple(ids.tolist()), tuple(labels.tolist())))
    assert found == expected_sequences(case)


@given(cases(), st.data())
def test_a_batch_holds_the_chosen_sequences_and_asks_each_head_for_its_own(
    case: Case, data: st.DataObject
) -> None:
    sequences, expected = case.gather(), expected_sequences(case)
    trunks = [case.streams[stream].trunk for stream in sequences.stream]
    if not trunks:
        return
    trunk = data.draw(st.sampled_from(sorted(set(trunks))))
    here = [i for i, t in enumerate(trunks) if t == trunk]
    indices = data.draw(st.lists(st.sampled_from(here), min_size=1, unique=True))
    names = [head.name for head in case.heads]
    batch, rows = make_batch(sequences, np.array(indices), case.streams, names, case.wanted, VOCABULARY.mask_id)

    assert batch.trunk == trunk
    assert batch.lengths.tolist() == [len(expected[i][2]) for i in indices]
    assert batch.input_ids.tolist() == [token for i in indices for token in expected[i][2]]
    assert batch.input_ids.dtype == batch.lengths.dtype == np.int32
    assert_requests(case, [expected[i] for i in indices], batch.requests, rows)


def assert_requests(
    case: Case,
    chosen: list[Expected],
    requests: dict[str, HeadRequest],
    rows: dict[str, NDArray[np.int32]],
) -> None:
    """Every head's index, labels and rows, against a plain loop over the chosen sequences."""
    found_index: dict[str, list[int]] = {}
    found_labels: dict[str, list[int]] = {}
    found_rows: dict[str, list[int]] = {}
    begin = 0
    for i, (stream_index, row, ids, labels) in enumerate(chosen):
        stream = case.streams[stream_index]
        for h in stream.heads:
            if not case.wanted[row, h]:
                continue
            name = case.heads[h].name
            for index in [i] if stream.masking is None else [t for t, x in enumerate(labels) if x != -100]:
                at = index if stream.masking is None else begin + index
                found_index.setdefault(name, []).append(at)
                found_rows.setdefault(name, []).append(row)
                if stream.masking is not None:
                    found_labels.setdefault(name, []).append(labels[index])
        begin += len(ids)
    assert {name: request.index.tolist() for name, request in requests.items()} == found_index
    labelled = {name: r.labels.tolist() for name, r in requests.items() if r.labels is not None}
    assert labelled == found_labels
    assert {name: values.tolist() for name, values in rows.items()} == found_rows


def test_making_a_batch_leaves_the_set_as_it_was() -> None:
    """A batch is made again when its ranks have died: nothing of the first time may be left in the set."""
    case = Case([HEADS[4]], [[[0, 5, 6, 2]]], np.array([[True]]))
    sequences = case.gather()
    batches = [
        make_batch(sequences, np.array([1, 0]), case.streams, ["in turn"], case.wanted, VOCABULARY.mask_id)[0]
        for _ in range(2)
    ]
    for batch in batches:
        assert batch.input_ids.tolist() == [0, 5, 39, 2, 0, 39, 6, 2]
        labels = batch.requests["in turn"].labels
        assert labels is not None
        assert labels.tolist() == [6, 5]
    assert sequences.flat_ids.tolist() == [0, 5, 6, 2]


def test_a_fragment_without_sequences() -> None:
    case = Case(HEADS[:3], [[None, [0, 5, 2]]], np.array([[True] * 3, [False] * 3]))
    assert len(case.gather()) == 0


@pytest.mark.parametrize("begin", [0, 1])
def test_slices_and_the_values_under_nulls_do_not_show(begin: int) -> None:
    """Arrow may keep values where a row is null, and offsets that do not begin at 0."""
    offsets = pa.array([0, 4, 7, 9, 12], pa.int32())
    values = pa.array([0, 9, 9, 2, 0, 5, 2, 8, 8, 0, 7, 2], pa.int32())
    is_null = pa.array([False, False, True, False])
    column = pa.ListArray.from_arrays(offsets, values, mask=is_null).slice(begin)
    wanted = np.ones((len(column), 1), dtype=bool)
    sequences = gather_sequences(
        [column], streams_of([HEADS[2]]), wanted, row_hashes("a", 0, len(column)), VOCABULARY
    )
    assert sequences.row.tolist() == [[0, 1, 3], [0, 2]][begin]
    assert sequences.length.tolist() == [[4, 3, 3], [3, 3]][begin]
    assert sequences.flat_ids.tolist() == [[0, 9, 9, 2, 0, 5, 2, 0, 7, 2], [0, 5, 2, 0, 7, 2]][begin]
