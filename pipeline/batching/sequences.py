"""Gather the sequences of a fragment that go through a trunk, with masks applied."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.tokenizer.special_tokens import IGNORE_INDEX
from pipeline.arrays.ragged import ranges
from pipeline.arrays.windows import WindowArrays
from pipeline.batching.masking import Vocabulary, sample_masks
from pipeline.batching.trunk_passes import TrunkPass
from pipeline.tasks.contract import Masking


@dataclass(frozen=True)
class SequenceSet:
    """All sequences of a fragment, as slices of two flat arrays.

    Attributes:
        flat_ids: int32, token ids of all passes end to end, with masks applied.
        flat_labels: int32, the tokens to predict, else -100.
        start, length: the slice of each sequence; int64 `[sequences]`, like the following ones.
        trunk_pass: index of its trunk pass.
        window: index of its window among those of the pass's spec.
        masked_position: the token to mask, if tokens are masked one at a time; else -1.
    """

    flat_ids: NDArray[np.int32]
    flat_labels: NDArray[np.int32]
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    trunk_pass: NDArray[np.int64]
    window: NDArray[np.int64]
    masked_position: NDArray[np.int64]
    windows_by_spec: Sequence[WindowArrays]

    def __len__(self) -> int:
        return len(self.length)


def gather_sequences(
    windows_by_spec: Sequence[WindowArrays],
    passes: Sequence[TrunkPass],
    wanted: NDArray[np.bool_],
    hashes: NDArray[np.uint64],
    vocabulary: Vocabulary,
) -> SequenceSet:
    """The sequences that the heads need; `wanted`: bool `[rows, heads]`, `hashes`: uint64 `[rows]`."""
    parts = []
    base = 0
    for i, trunk_pass in enumerate(passes):
        windows = windows_by_spec[trunk_pass.spec]
        ids, labels = windows.ids.values, None
        chosen = np.flatnonzero(wanted[windows.row][:, list(trunk_pass.heads)].any(axis=1))
        positions = np.full(len(chosen), -1, dtype=np.int64)
        if trunk_pass.masking is not None and trunk_pass.masking.strategy == "sample":
            ids, labels = _masked(windows, hashes, trunk_pass.masking, vocabulary)
        elif trunk_pass.masking is not None:
            chosen, positions = _each_token_in_turn(windows, chosen)
        if labels is None:
            labels = np.full(len(ids), IGNORE_INDEX, dtype=np.int32)
        start, length = windows.ids.starts[chosen] + base, windows.ids.lengths[chosen]
        parts.append((ids, labels, start, length, np.full(len(chosen), i), chosen, positions))
        base += len(ids)
    flat_ids, flat_labels, start, length, pass_of, window, position = (
        np.concatenate(arrays) for arrays in zip(*parts, strict=True)
    )
    return SequenceSet(flat_ids, flat_labels, start, length, pass_of, window, position, windows_by_spec)


def _masked(
    windows: WindowArrays, hashes: NDArray[np.uint64], masking: Masking, vocabulary: Vocabulary
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Ids and labels of all windows; a token in an overlap is masked in the window that owns it."""
    lengths = windows.ids.lengths
    position = ranges(np.zeros(len(windows), dtype=np.int64), lengths)
    owned_begin, owned_end = np.repeat(windows.owned_begin, lengths), np.repeat(windows.owned_end, lengths)
    return sample_masks(
        windows.ids.values,
        np.repeat(windows.row, lengths),
        position + np.repeat(windows.body_begin - windows.prefix_size, lengths),
        (position >= owned_begin) & (position < owned_end),
        hashes,
        probability=masking.probability,
        seed=masking.seed,
        vocabulary=vocabulary,
    )


def _each_token_in_turn(
    windows: WindowArrays, chosen: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One sequence for each owned token of the chosen windows: its window, and the position to mask.

    This gives the pseudo-log-likelihood of Salazar et al. 2020 (https://arxiv.org/abs/1910.14659).
    """
    begin, end = windows.owned_begin[chosen], windows.owned_end[chosen]
    return np.repeat(chosen, end - begin), ranges(begin, end - begin)
