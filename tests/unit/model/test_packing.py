"""PackedBatch: layout, positions, and the way from and to padded batches."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model import PackedBatch
from tests.packing import pack, unpack

SEQUENCES = st.lists(st.lists(st.integers(2, 50), min_size=1, max_size=6), max_size=6)


def test_layout() -> None:
    batch = PackedBatch.from_sequences([[7, 8, 9], [4], [5, 6]], pad_token_id=1)
    assert batch.input_ids.tolist() == [7, 8, 9, 4, 5, 6]
    assert batch.position_ids.tolist() == [2, 3, 4, 2, 2, 3]
    assert batch.cu_seqlens.tolist() == [0, 3, 4, 6]
    assert batch.first_positions.tolist() == [0, 3, 4]
    assert batch.lengths == (3, 1, 2)
    assert (batch.max_seqlen, batch.num_sequences) == (3, 3)
    assert batch.input_ids.dtype == batch.position_ids.dtype == torch.int64
    assert batch.cu_seqlens.dtype == torch.int32


def test_positions_begin_behind_the_padding_index() -> None:
    assert PackedBatch.from_sequences([[7, 8]], pad_token_id=5).position_ids.tolist() == [6, 7]


def test_all_tensors_are_moved() -> None:
    batch = PackedBatch.from_sequences([[7, 8, 9], [4]], pad_token_id=1)
    moved = batch.moved(lambda tensor: tensor.to("meta"))
    for name in ("input_ids", "position_ids", "cu_seqlens"):
        before, after = getattr(batch, name), getattr(moved, name)
        assert after.is_meta
        assert (after.shape, after.dtype) == (before.shape, before.dtype)
    assert moved.lengths == batch.lengths


def test_an_empty_batch() -> None:
    batch = PackedBatch.from_sequences([], pad_token_id=1)
    assert (batch.max_seqlen, batch.num_sequences) == (0, 0)
    assert batch.cu_seqlens.tolist() == [0]


@given(SEQUENCES.filter(bool))
def test_pack_and_unpack_are_inverse(sequences: list[list[int]]) -> None:
    padded = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(s) for s in sequences], batch_first=True, padding_value=1
    )
    batch = pack(padded, padded != 1, pad_token_id=1)
    expected = PackedBatch.from_sequences(sequences, pad_token_id=1)
    assert torch.equal(batch.input_ids, expected.input_ids)
    assert torch.equal(batch.position_ids, expected.position_ids)
    assert batch.lengths == expected.lengths
    assert torch.equal(unpack(batch.input_ids, batch.lengths, value=1), padded)


def test_left_padding_packs_to_the_same_batch() -> None:
    right = pack(torch.tensor([[4, 5, 6], [7, 1, 1]]), torch.tensor([[1, 1, 1], [1, 0, 0]]), pad_token_id=1)
    left = pack(torch.tensor([[4, 5, 6], [1, 1, 7]]), torch.tensor([[1, 1, 1], [0, 0, 1]]), pad_token_id=1)
    assert torch.equal(left.input_ids, right.input_ids)
    assert torch.equal(left.position_ids, right.position_ids)


def test_unpack_keeps_further_dimensions() -> None:
    packed = torch.arange(8.0).view(4, 2)
    padded = unpack(packed, [3, 1], value=-1.0)
    assert padded.tolist() == [[[0, 1], [2, 3], [4, 5]], [[6, 7], [-1, -1], [-1, -1]]]


def test_refusals() -> None:
    ids = torch.arange(5)
    with pytest.raises(ValueError, match="lengths add up to 4 tokens, found 5"):
        PackedBatch.from_lengths(ids, [3, 1], pad_token_id=1)
    with pytest.raises(ValueError, match="at least one token, found a length of 0"):
        PackedBatch.from_lengths(ids, [5, 0], pad_token_id=1)
    with pytest.raises(ValueError, match="at least one token"):
        pack(torch.tensor([[1, 1]]), torch.tensor([[0, 0]]), pad_token_id=1)
