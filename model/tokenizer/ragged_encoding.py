"""Token sequences of a batch as ragged arrays without padding, the form used by the pipeline.

All functions are array arithmetic: no Python code runs per token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.tokenizer.character_offsets import offsets_from_lengths
from model.tokenizer.pieces import Pieces
from model.tokenizer.special_tokens import BOS_ID, EOS_ID
from model.tokenizer.truncation import Side, longest_first

SEGMENT_SPECIAL, SEGMENT_FIRST = -1, 0


@dataclass(frozen=True, slots=True)
class RaggedEncoding:
    """Concatenated token ids of n sequences.

    `input_ids`: int32 [total]. `row_offsets`: int64 [n + 1], sequence i is
    `input_ids[row_offsets[i]:row_offsets[i + 1]]`. `num_tokens_full`: int32 [n], the length,
    special tokens included, before truncation.
    With offsets: `begins`, `ends`: int32 [total], half-open span in characters of the text that
    the token is from, (0, 0) for added special tokens; `segment`: int8 [total], 0 for the text, 1
    for its pair, -1 for added special tokens.
    """

    input_ids: NDArray[np.int32]
    row_offsets: NDArray[np.int64]
    num_tokens_full: NDArray[np.int32]
    begins: NDArray[np.int32] | None = None
    ends: NDArray[np.int32] | None = None
    segment: NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return len(self.row_offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens of each sequence, int64 [n]."""
        return np.diff(self.row_offsets)


def join_pieces(
    first: Pieces,
    second: Pieces | None,
    *,
    max_length: int | None,
    add_special_tokens: bool,
    truncation_side: Side,
) -> RaggedEncoding:
    """`<s> A </s>` or `<s> A </s></s> B </s>`, truncated to `max_length` with its special tokens.

    Pairs are truncated longest first. Raises ValueError if `max_length` cannot hold the special tokens.
    """
    num_special = (4 if second is not None else 2) if add_special_tokens else 0
    if max_length is not None and max_length < num_special:
        raise ValueError(f"max_length: found {max_length}, expected at least the {num_special} special tokens")
    lengths = first.lengths, np.zeros_like(first.lengths) if second is None else second.lengths
    num_tokens_full = (lengths[0] + lengths[1] + num_special).astype(np.int32)
    # Without a second part, this is the minimum of length and budget.
    kept = lengths if max_length is None else longest_first(*lengths, max_length - num_special)
    row_offsets = offsets_from_lengths(kept[0] + kept[1] + num_special)
    starts = row_offsets[:-1]
    leading, between = (1, 2) if add_special_tokens else (0, 0)
    copies = [_copy(first, kept[0], starts + leading, truncation_side)]
    if second is not None:
        copies.append(_copy(second, kept[1], starts + leading + kept[0] + between, truncation_side))

    input_ids = np.full(int(row_offsets[-1]), EOS_ID, dtype=np.int32)
    if add_special_tokens:
        input_ids[starts] = BOS_ID
    for copy in copies:
        input_ids[copy.target] = copy.pieces.ids[copy.source]
    spans = () if first.spans is None else _spans(len(input_ids), copies)
    return RaggedEncoding(input_ids, row_offsets, num_tokens_full, *spans)


class _Copy(NamedTuple):
    """Flat indices to read the kept pieces of each text from, and to write them to."""

    pieces: Pieces
    source: NDArray[np.int64]
    target: NDArray[np.int64]


def _spans(total: int, copies: Sequence[_Copy]) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int8]]:
    """`begins`, `ends` and `segment` of a `RaggedEncoding`."""
    begins, ends = np.zeros(total, dtype=np.int32), np.zeros(total, dtype=np.int32)
    segment = np.full(total, SEGMENT_SPECIAL, dtype=np.int8)
    for name, (pieces, source, target) in enumerate(copies, start=SEGMENT_FIRST):
        assert pieces.spans is not None
        begins[target] = pieces.spans.begins[source]
        ends[target] = pieces.spans.ends[source]
        segment[target] = name
    return begins, ends, segment


def _copy(pieces: Pieces, kept: NDArray[np.int64], starts: NDArray[np.int64], side: Side) -> _Copy:
    """Keep `kept` [n] pieces of each text, and write them from `starts` [n] on."""
    source_starts = pieces.row_offsets[:-1]
    if side == "left":
        source_starts = source_starts + pieces.lengths - kept
    before = np.cumsum(kept) - kept
    flat = np.arange(int(kept.sum()))
    return _Copy(pieces, flat + np.repeat(source_starts - before, kept), flat + np.repeat(starts - before, kept))
