"""What each head computes on a batch: sequences or tokens, only those that it needs. Pure functions."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.layers.loss import IGNORE_INDEX
from pipeline.arrays.ragged import ranges
from pipeline.batching.sequences import SequenceSet
from pipeline.batching.trunk_passes import TrunkPass
from pipeline.heads.resolve import Head
from pipeline.tasks.contract import HeadOutput
from pipeline.tasks.requests import HeadRequest, HeadSequences, Places

BatchOutput = dict[str, HeadOutput]
"""What the heads have computed on a batch, by name."""


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


def make_batch(
    sequences: SequenceSet,
    indices: NDArray[np.int64],
    passes: Sequence[TrunkPass],
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
    for i, trunk_pass in enumerate(passes):
        members = np.flatnonzero(sequences.trunk_pass[indices] == i)
        windows = sequences.windows_by_spec[trunk_pass.spec]
        row = windows.row[sequences.window[indices[members]]]
        for head, is_wanted in ((heads[h], wanted[row, h]) for h in trunk_pass.heads):
            served = members[is_wanted]
            if not len(served):
                continue
            batch = HeadSequences(
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
            request, place = head.task.request(head.options, batch)
            if len(request.index):
                requests[head.name], places[head.name] = request, place
    first = passes[int(sequences.trunk_pass[indices[0]])]
    return (
        ShardBatch(
            trunk=first.trunk,
            input_ids=input_ids,
            lengths=lengths.astype(np.int32),
            requests=requests,
            generates=first.generates,
            seed=_seed(input_ids, first.seed) if first.generates else 0,
        ),
        places,
    )


def _seed(input_ids: NDArray[np.int32], seed: int) -> int:
    """Of a batch of prompts: from what it holds and the heads' seed, so that batches differ and runs do not."""
    digest = hashlib.blake2b(input_ids.tobytes(), digest_size=4, key=str(seed).encode()).digest()
    return int.from_bytes(digest, "little")
