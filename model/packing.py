"""Packed batches: sequences of any length, concatenated without padding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class PackedBatch:
    """Token ids of several sequences on one axis.

    Attributes:
        input_ids: int64 `[num_tokens]`.
        position_ids: int64 `[num_tokens]`; in every sequence they count from `pad_token_id + 1`.
        cu_seqlens: int32 `[num_sequences + 1]`, where each sequence begins, and the end of the last.
        lengths: the lengths of the sequences, on the host, so that reading them does not synchronize the device.
    """

    input_ids: Tensor
    position_ids: Tensor
    cu_seqlens: Tensor
    lengths: tuple[int, ...]

    @cached_property
    def max_seqlen(self) -> int:
        """Length of the longest sequence."""
        return max(self.lengths, default=0)

    @property
    def num_sequences(self) -> int:
        """How many sequences the batch holds."""
        return len(self.lengths)

    @property
    def first_positions(self) -> Tensor:
        """Index of every sequence's first token (`<s>`), int32 `[num_sequences]`."""
        return self.cu_seqlens[:-1]

    @classmethod
    def from_lengths(
        cls, input_ids: Tensor, lengths: Sequence[int], *, pad_token_id: int, device: torch.device | str = "cpu"
    ) -> Self:
        """Lay out `input_ids` `[num_tokens]`, already end to end, as sequences of the given lengths.

        Raises ValueError: the lengths do not add up to the number of tokens, or one of them is not positive.
        """
        lengths_np = np.asarray(lengths, dtype=np.int32)
        if lengths_np.size and lengths_np.min() < 1:
            raise ValueError(f"every sequence must hold at least one token, found a length of {lengths_np.min()}")
        cu_seqlens = np.zeros(len(lengths_np) + 1, dtype=np.int32)
        np.cumsum(lengths_np, out=cu_seqlens[1:])
        if cu_seqlens[-1] != input_ids.shape[0]:
            raise ValueError(f"lengths add up to {cu_seqlens[-1]} tokens, found {input_ids.shape[0]}")
        starts = np.repeat(cu_seqlens[:-1], lengths_np)
        position_ids = np.arange(len(starts), dtype=np.int64) - starts + pad_token_id + 1
        return cls(
            input_ids.to(device, torch.int64, non_blocking=True),
            torch.from_numpy(position_ids).to(device, non_blocking=True),
            torch.from_numpy(cu_seqlens).to(device, non_blocking=True),
            tuple(lengths_np.tolist()),
        )

    @classmethod
    def from_sequences(
        cls, sequences: Sequence[Sequence[int]], *, pad_token_id: int, device: torch.device | str = "cpu"
    ) -> Self:
        """Pack lists of token ids."""
        flat = torch.tensor([i for sequence in sequences for i in sequence], dtype=torch.int64)
        return cls.from_lengths(flat, [len(s) for s in sequences], pad_token_id=pad_token_id, device=device)

    def moved(self, move: Callable[[Tensor], Tensor]) -> Self:
        """A copy with every tensor replaced by `move(tensor)`, for example on another device."""
        return type(self)(move(self.input_ids), move(self.position_ids), move(self.cu_seqlens), self.lengths)

    def padded_to_multiple(self, multiple: int, *, pad_token_id: int) -> "PackedBatch":
        """Append a sequence of padding that makes the number of tokens a multiple; itself if it already is one."""
        num_padding = -len(self.input_ids) % multiple
        if num_padding == 0:
            return self
        padding = PackedBatch.from_lengths(
            self.input_ids.new_full((num_padding,), pad_token_id),
            [num_padding],
            pad_token_id=pad_token_id,
            device=self.input_ids.device,
        )
        return PackedBatch(
            torch.cat([self.input_ids, padding.input_ids]),
            torch.cat([self.position_ids, padding.position_ids]),
            torch.cat([self.cu_seqlens, self.cu_seqlens[-1:] + num_padding]),
            (*self.lengths, num_padding),
        )

    def split(self, num_tokens: int) -> "list[PackedBatch]":
        """Split into views of whole sequences: about equally long, and as few as `num_tokens` each allow.

        A view may exceed `num_tokens` by at most the longest sequence.
        """
        ends = np.cumsum(self.lengths, dtype=np.int64)
        if not len(ends):
            return []
        num_runs = -(-int(ends[-1]) // num_tokens)
        # Cut at the end of the sequence that is nearest to each multiple of a view's share.
        shares = ends[-1] * np.arange(1, num_runs) / num_runs
        after = np.searchsorted(ends, shares)
        before = np.maximum(after - 1, 0)
        is_nearer = np.abs(ends[after] - shares) <= np.abs(ends[before] - shares)
        cuts = np.unique([0, *(np.where(is_nearer, after, before) + 1), len(ends)]).tolist()
        return [self._run(begin, end) for begin, end in pairwise(cuts)]

    def _run(self, begin: int, end: int) -> "PackedBatch":
        """A view of the sequences from `begin` to `end`."""
        first_token = sum(self.lengths[:begin])
        tokens = slice(first_token, first_token + sum(self.lengths[begin:end]))
        return PackedBatch(
            self.input_ids[tokens],
            self.position_ids[tokens],
            self.cu_seqlens[begin : end + 1] - first_token,
            self.lengths[begin:end],
        )
