"""Build a `RankBatch`: packed sequences for one trunk, with the requests of each head."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.tokenizer.special_tokens import IGNORE_INDEX
from pipeline.arrays.ragged import ranges
from pipeline.arrays.windows import WindowArrays
from pipeline.batching.sequences import SequenceSet
from pipeline.batching.trunk_passes import TrunkPass
from pipeline.heads.resolve import Head
from pipeline.tasks.contract import HeadOutput
from pipeline.tasks.requests import HeadRequest, HeadSequences, Places

BatchOutput = dict[str, HeadOutput]
"""The output of each head on a batch, by name."""


@dataclass(frozen=True)
class RankBatch:
    """What the leader of a replica sends to its ranks: packed sequences of one trunk, and the heads' requests.

    Attributes:
        input_ids: int32 `[num_tokens]`, of all sequences end to end.
        lengths: int32 `[num_sequences]`.
        requests: by head name, without heads that have nothing to do.
        generates: whether the sequences are prompts.
        seed: for sampling; depends on the rows, not on the run.
    """

    trunk: str
    input_ids: NDArray[np.int32]
    lengths: NDArray[np.int32]
    requests: dict[str, HeadRequest]
    generates: bool = False
    seed: int = 0


def make_batch(
    sequences: SequenceSet,
    indices: NDArray[np.int64],
    passes: Sequence[TrunkPass],
    heads: Sequence[Head],
    wanted: NDArray[np.bool_],
    mask_id: int,
) -> tuple[RankBatch, dict[str, Places]]:
    """The batch of the sequences at `indices`, all of one trunk; and by head the places of its results."""
    lengths = sequences.length[indices]
    begins = np.cumsum(lengths) - lengths
    flat = ranges(sequences.start[indices], lengths)
    input_ids, labels = sequences.flat_ids[flat], sequences.flat_labels[flat]
    position = sequences.masked_position[indices]
    single = begins[position >= 0] + position[position >= 0]
    labels[single] = input_ids[single]
    input_ids[single] = mask_id
    requests, places = {}, {}
    for head, windows, served in _readers(sequences, indices, passes, heads, wanted):
        read = HeadSequences(
            sequence=indices[served],
            number=served,
            begin=begins[served],
            length=lengths[served],
            window=sequences.window[indices[served]],
            windows=windows,
            input_ids=input_ids,
            labels=labels,
            is_labelled=labels != IGNORE_INDEX,
            mask_id=mask_id,
        )
        request, place = head.task.request(head.options, read)
        if len(request.index):
            requests[head.name], places[head.name] = request, place
    first = passes[int(sequences.trunk_pass[indices[0]])]
    seed = _seed(input_ids, first.seed) if first.generates else 0
    batch = RankBatch(first.trunk, input_ids, lengths.astype(np.int32), requests, first.generates, seed)
    return batch, places


def _readers(
    sequences: SequenceSet,
    indices: NDArray[np.int64],
    passes: Sequence[TrunkPass],
    heads: Sequence[Head],
    wanted: NDArray[np.bool_],
) -> Iterator[tuple[Head, WindowArrays, NDArray[np.int64]]]:
    """Each head that reads any of the sequences, the windows of its spec, and the numbers of these sequences."""
    for i, trunk_pass in enumerate(passes):
        members = np.flatnonzero(sequences.trunk_pass[indices] == i)
        windows = sequences.windows_by_spec[trunk_pass.spec]
        row = windows.row[sequences.window[indices[members]]]
        for h in trunk_pass.heads:
            served = members[wanted[row, h]]
            if len(served):
                yield heads[h], windows, served


def _seed(input_ids: NDArray[np.int32], seed: int) -> int:
    """The seed of a batch of prompts, from its content and the heads' seed: differs by batch, but not by run."""
    digest = hashlib.blake2b(input_ids.tobytes(), digest_size=4, key=str(seed).encode()).digest()
    return int.from_bytes(digest, "little")
