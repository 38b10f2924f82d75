"""Character offsets of sentencepiece pieces in the text that they came from.

Sentencepiece normalises text first (NFKC and more) and splits it into pieces afterwards. Its normaliser reports
where each normalised character begins in the original, and the pieces cover the normalised text; together these
give the span of each piece. Arrays are flat over a batch: C normalised characters, P pieces, n texts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

METASPACE = "▁"

IntArray = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Alignment:
    """The original spans of the normalised characters of a batch of texts.

    `is_space`: bool [C], the character is the metaspace. `begins`, `ends`: int32 [C], half-open
    span of original characters that became this one: several may share a span (a ligature that
    was taken apart), and a span may be long (a letter and its combining mark). `row_offsets`:
    int64 [n + 1].
    """

    is_space: NDArray[np.bool_]
    begins: NDArray[np.int32]
    ends: NDArray[np.int32]
    row_offsets: NDArray[np.int64]


def offsets_from_lengths(lengths: IntArray) -> NDArray[np.int64]:
    """[n] lengths to [n + 1] offsets of a ragged array."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def align(normalized: Sequence[tuple[str, Sequence[int]]]) -> Alignment:
    """Flatten the reports of the normaliser for each text.

    A report is the normalised text of c characters and c + 1 positions: where each of its
    characters begins in the original, and where the last one ends.
    """
    lengths = np.fromiter((len(text) for text, _ in normalized), np.int64, len(normalized))
    row_offsets = offsets_from_lengths(lengths)
    num_positions = int(row_offsets[-1]) + len(normalized)
    positions = np.fromiter(chain.from_iterable(row for _, row in normalized), np.int32, num_positions)
    codepoints = np.frombuffer("".join(text for text, _ in normalized).encode("utf-32-le"), "<u4")

    is_row_end = np.zeros(num_positions, dtype=np.bool_)
    is_row_end[row_offsets[1:] + np.arange(len(normalized))] = True
    # Characters of equal position are one run, and end where the next run begins. No character ends where it
    # begins, so a run that continues into the next text contains no character of the first.
    is_run_start = np.ones(num_positions, dtype=np.bool_)
    is_run_start[1:] = positions[1:] != positions[:-1]
    run_starts = np.flatnonzero(is_run_start)
    run_lengths = np.diff(run_starts, append=num_positions)
    run_ends = np.append(positions[run_starts[1:]], positions[-1:])
    ends = np.repeat(run_ends, run_lengths)
    return Alignment(
        is_space=codepoints == ord(METASPACE),
        begins=positions[~is_row_end],
        ends=ends[~is_row_end],
        row_offsets=row_offsets,
    )


def piece_spans(
    alignment: Alignment,
    piece_lengths: IntArray,
    piece_offsets: NDArray[np.int64],
    texts: Sequence[str],
    is_invisible: Callable[[str], bool],
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]:
    """Begins and ends (int32 [P]) in original characters, and whether a word starts (bool [P]).

    `piece_lengths` [P] counts normalised characters; `piece_offsets` [n + 1] says which pieces
    belong to which text. A span leaves out the blank before a word and characters that the
    normaliser drops (`is_invisible`) at its end. A piece that is the metaspace alone takes the
    span of the character that it introduces, as in the released fast tokenizer.
    """
    stops = np.cumsum(piece_lengths, dtype=np.int64)
    starts = stops - piece_lengths
    assert np.array_equal(np.append(0, stops)[piece_offsets], alignment.row_offsets)

    num_chars = len(alignment.is_space)
    index = np.where(alignment.is_space, num_chars, np.arange(num_chars))
    next_visible = np.minimum.accumulate(index[::-1])[::-1]
    first, last = next_visible[starts], stops - 1
    is_bare = first >= stops
    row_of_piece = np.repeat(np.arange(len(texts)), np.diff(piece_offsets))
    row_last = alignment.row_offsets[1:][row_of_piece] - 1
    first = np.where(is_bare, np.minimum(stops, row_last), first)
    last = np.where(is_bare, first, last)

    begins, ends = alignment.begins[first], alignment.ends[last]
    last_begins = alignment.begins[last]
    for piece in np.flatnonzero(ends - last_begins > 1):
        text, end = texts[row_of_piece[piece]], int(ends[piece])
        while end - 1 > last_begins[piece] and is_invisible(text[end - 1]):
            end -= 1
        ends[piece] = end

    return begins, ends, alignment.is_space[starts]
