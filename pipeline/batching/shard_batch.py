"""What each head computes on a batch: sequences or tokens, only those that it needs. Pure functions."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.layers.loss import IGNORE_INDEX
from pipeline.arrays.ragged import ranges
from pipeline.batching.sequences import SequenceSet
from pipeline.batching.trunk_passes import Stream
from pipeline.heads.resolve import Head
from pipeline.tasks.all_tasks import (
    CausalLMLossHead,
    EmbeddingHead,
    FillMaskHead,
    HeadConfig,
    MaskedLMLossHead,
    QuestionAnsweringHead,
    TextGenerationHead,
    TokenClassificationHead,
)

HeadOutput = tuple[NDArray[np.generic], ...]
"""What a head has computed on a batch: arrays with a first axis as long as the request's index."""
BatchOutput = dict[str, HeadOutput]
"""By head name."""


@dataclass(frozen=True)
class HeadRequest:
    """What a head is to compute on a batch.

    Attributes:
        index: int32 `[n]`, sequences of the batch, or token positions in it.
        labels: int32 `[n]`, the tokens to predict there, for a loss.
        of_tokens: the index is of token positions.
    """

    index: NDArray[np.int32]
    labels: NDArray[np.int32] | None = None
    of_tokens: bool = False


@dataclass(frozen=True)
class ShardBatch:
    """What a leader sends to its ranks: packed sequences of one trunk, and what each head is to do.

    Attributes:
        input_ids: int32 `[num_tokens]`, end to end.
        lengths: int32 `[num_sequences]`.
        requests: by head name; heads without anything to do are left out.
        generates: the sequences are prompts.
        seed: for sampling from them; hangs on the rows, not on the run.
    """

    trunk: str
    input_ids: NDArray[np.int32]
    lengths: NDArray[np.int32]
    requests: dict[str, HeadRequest]
    generates: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Places:
    """Where the results of a request belong: int64 `[n]`, sequences of the fragment, tokens in them."""

    sequence: NDArray[np.int64]
    position: NDArray[np.int64]

    def without(self, sequences: Sequence[int]) -> "Places":
        """The places that are not in these sequences."""
        if not sequences:
            return self
        kept = ~np.isin(self.sequence, sequences)
        return Places(self.sequence[kept], self.position[kept])


@dataclass(frozen=True)
class _Batch:
    """A batch's sequences of one stream that a head serves, with their windows."""

    sequence: NDArray[np.int64]  # in the fragment
    number: NDArray[np.int64]  # in the batch
    begin: NDArray[np.int64]  # first token in the batch
    window: NDArray[np.int64]
    length: NDArray[np.int64]


def make_batch(
    sequences: SequenceSet,
    indices: NDArray[np.int64],
    streams: Sequence[Stream],
    heads: Sequence[Head],
    wanted: NDArray[np.bool_],
    mask_id: int,
) -> tuple[ShardBatch, dict[str, Places]]:
    """Gather the chosen sequences, all of one trunk, and say what each head is to compute on them.

    Returns:
        the batch, and by head the places that its results belong to.
    """
    lengths = sequences.length[indices]
    begins = np.cumsum(lengths) - lengths
    flat = ranges(sequences.start[indices], lengths)
    input_ids, labels = sequences.flat_ids[flat], sequences.flat_labels[flat]
    position = sequences.masked_position[indices]
    single = begins[position >= 0] + position[position >= 0]
    labels[single] = input_ids[single]
    input_ids[single] = mask_id
    requests, places = {}, {}
    for i, stream in enumerate(streams):
        members = np.flatnonzero(sequences.stream[indices] == i)
        row = sequences.sources[stream.source].row[sequences.window[indices[members]]]
        for h in stream.heads:
            served = members[wanted[row, h]]
            if len(served):
                batch = _Batch(
                    indices[served], served, begins[served], sequences.window[indices[served]], lengths[served]
                )
                request, place = _request(heads[h].options, batch, sequences, stream, input_ids, labels, mask_id)
                if len(request.index):
                    requests[heads[h].name], places[heads[h].name] = request, place
    first = streams[int(sequences.stream[indices[0]])]
    return (
        ShardBatch(
            trunk=first.trunk,
            input_ids=input_ids,
            lengths=lengths.astype(np.int32),
            requests=requests,
            generates=first.generates,
            seed=_seed(input_ids, heads[first.heads[0]].options),
        ),
        places,
    )


def _seed(input_ids: NDArray[np.int32], options: HeadConfig) -> int:
    """Of a batch of prompts: from what it holds and the head's seed, so that batches differ and runs do not."""
    if not isinstance(options, TextGenerationHead):
        return 0
    digest = hashlib.blake2b(input_ids.tobytes(), digest_size=4, key=str(options.seed).encode()).digest()
    return int.from_bytes(digest, "little")


def _request(
    options: HeadConfig,
    batch: _Batch,
    sequences: SequenceSet,
    stream: Stream,
    input_ids: NDArray[np.int32],
    labels: NDArray[np.int32],
    mask_id: int,
) -> tuple[HeadRequest, Places]:
    windows = sequences.sources[stream.source]
    owned_begin, owned_end = windows.owned_begin[batch.window], windows.owned_end[batch.window]
    match options:
        case TokenClassificationHead() | EmbeddingHead(level="token"):
            return _tokens(batch, owned_begin, owned_end - owned_begin)
        case FillMaskHead():
            return _tokens(batch, owned_begin, owned_end - owned_begin, keep=input_ids == mask_id)
        case MaskedLMLossHead():
            zeros = np.zeros(len(batch.begin), dtype=np.int64)
            return _tokens(batch, zeros, batch.length, keep=labels != IGNORE_INDEX, labels=labels)
        case CausalLMLossHead():
            # Each token is predicted from the one before it; the end of the text is a token like any other.
            num_targets = owned_end - owned_begin + windows.is_last[batch.window]
            next_ids = np.roll(input_ids, -1)
            return _tokens(batch, owned_begin - 1, num_targets, labels=next_ids)
        case QuestionAnsweringHead():
            prefix, body = windows.prefix_size[batch.window], windows.body_size[batch.window]
            return _first_and_body(batch, prefix, body)
    return HeadRequest(batch.number.astype(np.int32)), Places(batch.sequence, np.zeros_like(batch.sequence))


def _tokens(
    batch: _Batch,
    begin: NDArray[np.int64],
    count: NDArray[np.int64],
    *,
    keep: NDArray[np.bool_] | None = None,
    labels: NDArray[np.int32] | None = None,
) -> tuple[HeadRequest, Places]:
    """`count` tokens of each sequence from token `begin` on; of these the ones that `keep` names."""
    index = ranges(batch.begin + begin, count)
    sequence, position = np.repeat(batch.sequence, count), ranges(begin, count)
    if keep is not None:
        kept = keep[index]
        index, sequence, position = index[kept], sequence[kept], position[kept]
    request = HeadRequest(index.astype(np.int32), None if labels is None else labels[index], of_tokens=True)
    return request, Places(sequence, position)


def _first_and_body(
    batch: _Batch, prefix_size: NDArray[np.int64], body_size: NDArray[np.int64]
) -> tuple[HeadRequest, Places]:
    """`<s>` of each sequence, and behind it the tokens of the body."""
    count = body_size + 1
    position = ranges(prefix_size - 1, count)
    position[np.cumsum(count) - count] = 0
    index = np.repeat(batch.begin, count) + position
    return HeadRequest(index.astype(np.int32), of_tokens=True), Places(np.repeat(batch.sequence, count), position)
