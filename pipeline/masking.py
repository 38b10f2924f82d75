"""Which tokens a masked language model has to predict, drawn from the row's key. Pure functions.

The share and the 80/10/10 rule are BERT's (Devlin et al. 2019, https://arxiv.org/abs/1810.04805, section 3.1);
masking one token at a time gives the pseudo-log-likelihood of Salazar et al. 2020
(https://arxiv.org/abs/1910.14659).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.loss import IGNORE_INDEX
from pipeline.draws import draw, mix, uniform

_MASK_SHARE, _RANDOM_SHARE = 0.8, 0.1


@dataclass(frozen=True)
class Vocabulary:
    """What masking needs to know of the tokenizer. Ids below `first_regular_id` and `mask_id` are special."""

    mask_id: int
    first_regular_id: int = 4


def maskable(input_ids: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Tokens of the text: all but `<s>`, `<pad>` and `</s>`."""
    return input_ids > 2


def sample_masks(
    input_ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    *,
    probability: float,
    seed: int,
    vocabulary: Vocabulary,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Mask a share of each row's tokens, at least one of a row that has any.

    Args:
        input_ids: int32 `[total]`, rows end to end; row i is `offsets[i]:offsets[i + 1]`.
        hashes: uint64 `[rows]`.
        probability: the share; a row of n tokens gets round(probability * n) of them, half to even.

    Returns:
        masked ids int32 `[total]` (of the chosen, 80 % `<mask>`, 10 % a random token, 10 % as they were), and
        labels int32 `[total]`: the token that was there, -100 where there is nothing to predict.
    """
    lengths = np.diff(offsets)
    row_of = np.repeat(np.arange(len(lengths)), lengths)
    positions = np.arange(len(input_ids)) - np.repeat(offsets[:-1], lengths)
    bits = draw(hashes[row_of], seed, positions)
    is_text = maskable(input_ids)
    num_text = np.bincount(row_of[is_text], minlength=len(lengths))
    num_masked = np.minimum(np.maximum(np.rint(probability * num_text), 1), num_text).astype(np.int64)
    # Special tokens sort behind all others of their row; the first num_masked of each row are chosen.
    order = np.lexsort((bits, ~is_text, row_of))
    chosen = np.empty(len(input_ids), dtype=bool)
    chosen[order] = positions < num_masked[row_of]
    fate = uniform(mix(bits))
    random_ids = _random_ids(mix(mix(bits)), vocabulary)
    masked = np.where(chosen & (fate < _MASK_SHARE), np.int32(vocabulary.mask_id), input_ids)
    is_random = chosen & (fate >= _MASK_SHARE) & (fate < _MASK_SHARE + _RANDOM_SHARE)
    masked = np.where(is_random, random_ids, masked)
    return masked, np.where(chosen, input_ids, np.int32(IGNORE_INDEX))


def _random_ids(bits: NDArray[np.uint64], vocabulary: Vocabulary) -> NDArray[np.int32]:
    """Uniform over the regular tokens."""
    num_regular = vocabulary.mask_id - vocabulary.first_regular_id
    return (bits % np.uint64(num_regular)).astype(np.int32) + np.int32(vocabulary.first_regular_id)
