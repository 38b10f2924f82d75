"""The sequences of a fragment: what passes the trunk, for whom, and what comes back to which row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model.loss import IGNORE_INDEX
from pipeline.masking import Vocabulary, maskable, sample_masks
from pipeline.routing import Stream


@dataclass(frozen=True)
class HeadRequest:
    """What a head is to compute on a batch.

    Attributes:
        index: int32 `[n]`, sequences of the batch, or token positions for a language model head.
        labels: int32 `[n]`, the tokens to predict there.
    """

    index: NDArray[np.int32]
    labels: NDArray[np.int32] | None = None


@dataclass(frozen=True)
class ShardBatch:
    """What a leader sends to its ranks: packed sequences of one trunk, and what each head is to do.

    Attributes:
        input_ids: int32 `[num_tokens]`, end to end.
        lengths: int32 `[num_sequences]`.
        requests: by head name; heads without anything to do are left out.
    """

    trunk: str
    input_ids: NDArray[np.int32]
    lengths: NDArray[np.int32]
    requests: dict[str, HeadRequest]


@dataclass(frozen=True)
class SequenceSet:
    """All sequences of a fragment, as slices of two flat arrays.

    Attributes:
        flat_ids: int32, the token ids of all streams end to end, masks drawn.
        flat_labels: int32, what is to be predicted there, else -100.
        start, length: where each sequence is in them.
        stream, row: which stream and which row of the fragment it belongs to.
        masked_position: for one-at-a-time masking, the token that is masked; else -1.
    """

    flat_ids: NDArray[np.int32]
    flat_labels: NDArray[np.int32]
    start: NDArray[np.int64]
    length: NDArray[np.int32]
    stream: NDArray[np.int32]
    row: NDArray[np.int32]
    masked_position: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.length)


def gather_sequences(
    sources: Sequence[pa.ListArray],
    streams: Sequence[Stream],
    wanted: NDArray[np.bool_],
    hashes: NDArray[np.uint64],
    vocabulary: Vocabulary,
) -> SequenceSet:
    """Lay out the sequences that the rows of a fragment need.

    Args:
        sources: token ids of every row, one column a source, null where there are none.
        wanted: bool `[rows, heads]`.
        hashes: uint64 `[rows]`.
    """
    parts = []
    base = 0
    for i, stream in enumerate(streams):
        ids, offsets = _flat(sources[stream.source])
        labels = np.full(len(ids), IGNORE_INDEX, dtype=np.int32)
        rows = np.flatnonzero(wanted[:, list(stream.heads)].any(axis=1) & (np.diff(offsets) > 0))
        positions = np.full(len(rows), -1, dtype=np.int32)
        masking = stream.masking
        if masking is not None and masking.strategy == "sample":
            ids, labels = sample_masks(
                ids,
                offsets,
                hashes,
                probability=masking.mask_probability,
                seed=masking.seed,
                vocabulary=vocabulary,
            )
        elif masking is not None:
            rows, positions = _each_token_in_turn(ids, offsets, rows)
        lengths = np.diff(offsets)[rows].astype(np.int32)
        parts.append((ids, labels, offsets[rows] + base, lengths, np.full(len(rows), i), rows, positions))
        base += len(ids)
    ids, labels, start, length, stream_of, row, position = (
        np.concatenate(arrays) for arrays in zip(*parts, strict=True)
    )
    return SequenceSet(ids, labels, start, length, stream_of.astype(np.int32), row.astype(np.int32), position)


def _flat(source: pa.ListArray) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Values and offsets of a list column without nulls' leftovers: a null row is empty."""
    lengths = source.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    offsets = np.zeros(len(source) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return source.flatten().to_numpy(), offsets


def _each_token_in_turn(
    ids: NDArray[np.int32], offsets: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """One sequence for each token of the text of each row: its row, and the token's position in it."""
    lengths = np.diff(offsets)
    row_of = np.repeat(np.arange(len(lengths)), lengths)
    position = (np.arange(len(ids)) - np.repeat(offsets[:-1], lengths)).astype(np.int32)
    is_asked = np.zeros(len(lengths), dtype=bool)
    is_asked[rows] = True
    keep = is_asked[row_of] & maskable(ids)
    return row_of[keep], position[keep]


def make_batch(
    sequences: SequenceSet,
    indices: NDArray[np.int64],
    streams: Sequence[Stream],
    head_names: Sequence[str],
    wanted: NDArray[np.bool_],
    mask_id: int,
) -> tuple[ShardBatch, dict[str, NDArray[np.int32]]]:
    """Gather the chosen sequences, all of one trunk, and say what each head is to compute on them.

    Returns:
        the batch, and by head the row of the fragment that each of its results belongs to.
    """
    lengths = sequences.length[indices]
    begins = np.cumsum(lengths, dtype=np.int64) - lengths
    within = np.arange(lengths.sum(dtype=np.int64)) - np.repeat(begins, lengths)
    flat = np.repeat(sequences.start[indices], lengths) + within
    input_ids, labels = sequences.flat_ids[flat], sequences.flat_labels[flat]
    position = sequences.masked_position[indices]
    single = begins[position >= 0] + position[position >= 0]
    labels[single] = input_ids[single]
    input_ids[single] = mask_id
    row = sequences.row[indices]
    requests, rows = {}, {}
    for i, stream in enumerate(streams):
        in_stream = sequences.stream[indices] == i
        if not in_stream.any():
            continue
        for h in stream.heads:
            served = in_stream & wanted[row, h]
            if stream.masking is None:
                index = np.flatnonzero(served)
                request, request_rows = HeadRequest(index.astype(np.int32)), row[index]
            else:
                index = np.flatnonzero((labels != IGNORE_INDEX) & np.repeat(served, lengths))
                request = HeadRequest(index.astype(np.int32), labels[index])
                request_rows = np.repeat(row, lengths)[index]
            if len(index):
                requests[head_names[h]], rows[head_names[h]] = request, request_rows
    trunk = streams[int(sequences.stream[indices[0]])].trunk
    return ShardBatch(trunk, input_ids, lengths.astype(np.int32), requests), rows
