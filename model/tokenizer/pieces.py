"""The sentencepiece pieces of a batch of texts as flat arrays; concatenate and regroup them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model.tokenizer.character_offsets import offsets_from_lengths


@dataclass(frozen=True, slots=True)
class Spans:
    """The spans of pieces in their texts.

    `begins`, `ends`: int32 [total], half-open, in characters of the piece's text. `is_word_start`: bool [total].
    `unknown_surfaces`: the text of pieces that became `<unk>`, by flat index.
    """

    begins: NDArray[np.int32]
    ends: NDArray[np.int32]
    is_word_start: NDArray[np.bool_]
    unknown_surfaces: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Insertion:
    """A special token to insert before the piece at flat index `place`.

    `begin`, `end`: its span in characters of its text.
    """

    place: int
    token_id: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Pieces:
    """The pieces of n texts: `ids` int32 [total], `row_offsets` int64 [n + 1], optional `spans`."""

    ids: NDArray[np.int32]
    row_offsets: NDArray[np.int64]
    spans: Spans | None

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of pieces of each text, int64 [n]."""
        return np.diff(self.row_offsets)

    @classmethod
    def concatenate(cls, parts: "Sequence[Pieces]") -> Self:
        """Concatenate parts (at least one); either all or none of them have spans."""
        ids = np.concatenate([part.ids for part in parts])
        row_offsets = offsets_from_lengths(np.concatenate([part.lengths for part in parts]))
        spans = [part.spans for part in parts if part.spans is not None]
        if not spans:
            return cls(ids, row_offsets, None)
        bases = offsets_from_lengths(np.array([len(part.ids) for part in parts])).tolist()
        surfaces = {
            base + index: surface
            for base, part in zip(bases, spans, strict=False)
            for index, surface in part.unknown_surfaces.items()
        }
        return cls(
            ids,
            row_offsets,
            Spans(
                np.concatenate([part.begins for part in spans]),
                np.concatenate([part.ends for part in spans]),
                np.concatenate([part.is_word_start for part in spans]),
                surfaces,
            ),
        )


def regroup(
    pieces: Pieces, shifts: NDArray[np.int32], insertions: Sequence[Insertion], row_offsets: NDArray[np.int64]
) -> Pieces:
    """Merge the pieces of k segments into the pieces of the n texts that they were split from.

    `shifts` [k]: the character offset of each segment in its text. `insertions`: the special tokens that the texts
    were split at, in order. `row_offsets` [n + 1]: of the texts, including insertions.
    """
    at = np.array([insertion.place for insertion in insertions], dtype=np.int64)
    ids = np.insert(pieces.ids, at, [insertion.token_id for insertion in insertions])
    if pieces.spans is None:
        return Pieces(ids, row_offsets, None)
    shift = np.repeat(shifts, pieces.lengths)
    surfaces = {
        index + int(np.searchsorted(at, index, side="right")): surface
        for index, surface in pieces.spans.unknown_surfaces.items()
    }
    spans = Spans(
        np.insert(pieces.spans.begins + shift, at, [insertion.begin for insertion in insertions]),
        np.insert(pieces.spans.ends + shift, at, [insertion.end for insertion in insertions]),
        np.insert(pieces.spans.is_word_start, at, values=True),
        surfaces,
    )
    return Pieces(ids, row_offsets, spans)
