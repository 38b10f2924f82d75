"""From padded batches to packed ones, and back."""

from collections.abc import Sequence

import torch
from torch import Tensor

from model import PackedBatch


def pack(input_ids: Tensor, attention_mask: Tensor, *, pad_token_id: int) -> PackedBatch:
    """Drop the padding of a padded batch `[batch, length]`; the mask is 1 for tokens and 0 for padding."""
    keep = attention_mask.bool()
    lengths = keep.sum(dim=1).tolist()
    return PackedBatch.from_lengths(input_ids[keep], lengths, pad_token_id=pad_token_id, device=input_ids.device)


def unpack(packed: Tensor, lengths: Sequence[int], *, value: float = 0.0) -> Tensor:
    """Packed `[num_tokens, ...]` to right-padded `[num_sequences, longest, ...]`, padding filled with `value`."""
    return torch.nn.utils.rnn.pad_sequence(
        list(packed.split(list(lengths))), batch_first=True, padding_value=value
    )
