"""Choose the tokens that a masked language model has to predict, at random but keyed by row.

The share and the 80/10/10 rule are those of BERT (Devlin et al. 2019, https://arxiv.org/abs/1810.04805, section
3.1).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.tokenizer.special_tokens import IGNORE_INDEX
from pipeline.batching.row_random import random_bits, splitmix64, uniform

_MASK_SHARE, _RANDOM_SHARE = 0.8, 0.1


@dataclass(frozen=True)
class Vocabulary:
    """The token ids that masking needs: regular ones are `first_regular_id` to `mask_id`, exclusively."""

    mask_id: int
    first_regular_id: int = 4


def sample_masks(
    input_ids: NDArray[np.int32],
    row: NDArray[np.int64],
    position: NDArray[np.int64],
    is_owned: NDArray[np.bool_],
    hashes: NDArray[np.uint64],
    *,
    probability: float,
    seed: int,
    vocabulary: Vocabulary,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Mask a share of each row's tokens, at least one of a row that has any.

    Args:
        input_ids: int32 `[total]`, the windows of all rows end to end.
        row, position: int64 `[total]`, the row of each token, and its position in the row's text.
        is_owned: bool `[total]`, the tokens that can be masked: each token of a text once, no special tokens.
        hashes: uint64 `[rows]`.
        probability: the share; of n tokens, round(probability * n) are chosen, half to even.

    Returns:
        masked ids int32 `[total]` (80 % of the chosen are `<mask>`, 10 % a random token, 10 % unchanged), and
        labels int32 `[total]`: the original token, -100 where there is nothing to predict.
    """
    bits = random_bits(hashes[row], seed, position)
    num_text = np.bincount(row[is_owned], minlength=len(hashes))
    num_masked = np.minimum(np.maximum(np.rint(probability * num_text), 1), num_text).astype(np.int64)
    # Tokens that cannot be masked sort behind the others of their row; the first num_masked of a row are chosen.
    order = np.lexsort((bits, ~is_owned, row))
    row_starts = np.searchsorted(row[order], np.arange(len(hashes)))
    rank = np.arange(len(order)) - row_starts[row[order]]
    chosen = np.empty(len(input_ids), dtype=bool)
    chosen[order] = rank < num_masked[row[order]]
    fate = uniform(splitmix64(bits))
    random_ids = _random_ids(splitmix64(splitmix64(bits)), vocabulary)
    masked = np.where(chosen & (fate < _MASK_SHARE), np.int32(vocabulary.mask_id), input_ids)
    is_random = chosen & (fate >= _MASK_SHARE) & (fate < _MASK_SHARE + _RANDOM_SHARE)
    masked = np.where(is_random, random_ids, masked)
    return masked, np.where(chosen, input_ids, np.int32(IGNORE_INDEX))


def _random_ids(bits: NDArray[np.uint64], vocabulary: Vocabulary) -> NDArray[np.int32]:
    """Uniform random regular tokens."""
    num_regular = vocabulary.mask_id - vocabulary.first_regular_id
    return (bits % np.uint64(num_regular)).astype(np.int32) + np.int32(vocabulary.first_regular_id)
