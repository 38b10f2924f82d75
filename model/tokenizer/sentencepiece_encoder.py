"""Texts to token ids and character offsets: sentencepiece with fairseq's numbering.

Sentencepiece numbers `<unk>` 0, `<s>` 1, `</s>` 2 and its pieces from 3. Fairseq has `<s>` 0, `<pad>` 1, `</s>` 2
and `<unk>` 3 instead, so that piece i has id i + 1, and appends `<mask>`.
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import sentencepiece as spm
from numpy.typing import NDArray

from model.tokenizer.character_offsets import align, offsets_from_lengths, piece_spans
from model.tokenizer.pieces import Insertion, Pieces, Spans, regroup
from model.tokenizer.special_tokens import (
    BOS_ID,
    BOS_TOKEN,
    EOS_ID,
    EOS_TOKEN,
    MASK_TOKEN,
    PAD_ID,
    PAD_TOKEN,
    UNK_ID,
    UNK_TOKEN,
    split_special_tokens,
)

FAIRSEQ_OFFSET = 1

# Sentencepiece returns Python integers, one per token, and with offsets one per character. Batches are split into
# chunks of about this many characters, which bounds the memory that the integers take.
MAX_CHARS_AT_ONCE = 2_000_000


class SentencePieceEncoder:
    """A sentencepiece model under fairseq's ids. Safe to pickle and to share between threads."""

    def __init__(self, model_file: Path) -> None:
        """Raises FileNotFoundError, or ValueError if the file is not a sentencepiece model of XLM-R.

        A damaged normalizer shows only in the texts that it is applied to; `encode` raises ValueError for it.
        """
        self._model_file = model_file
        self._processor, pieces = _load(model_file)
        num_pieces = len(pieces)
        self._piece_lengths = np.fromiter(map(len, pieces), np.int32, num_pieces)
        self.mask_id = num_pieces + FAIRSEQ_OFFSET
        self.vocab_size = self.mask_id + 1
        self._special_ids = {
            BOS_TOKEN: BOS_ID,
            PAD_TOKEN: PAD_ID,
            EOS_TOKEN: EOS_ID,
            UNK_TOKEN: UNK_ID,
            MASK_TOKEN: self.mask_id,
        }
        self._special_tokens = {token_id: token for token, token_id in self._special_ids.items()}
        self._invisible: dict[str, bool] = {}

    def encode(
        self,
        texts: Sequence[str],
        *,
        return_offsets: bool = False,
        parsed_tokens: Collection[str] = (),
        num_threads: int = 1,
    ) -> Pieces:
        """Pieces of each text, without special tokens around them.

        Special tokens in a text, such as `<mask>`, become that token if they are among `parsed_tokens`. Others are
        ordinary characters and never get the id of a special token.
        """
        texts = list(texts)
        _check_texts(texts)
        parts = []
        try:
            for bite in _chunks(texts):
                if parsed_tokens and any("<" in text for text in bite):
                    parts.append(self._encode_parsed(bite, parsed_tokens, return_offsets, num_threads))
                else:
                    parts.append(self._encode_plain(bite, return_offsets, num_threads))
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{self._model_file}: its normalizer makes text that is not UTF-8; fetch the file again"
            ) from error
        return Pieces.concatenate(parts)

    def token_to_id(self, token: str) -> int:
        """The id of a token, or of `<unk>` for any other string."""
        special = self._special_ids.get(token)
        if special is not None:
            return special
        piece_id: int = self._processor.piece_to_id(token)
        return piece_id + FAIRSEQ_OFFSET if piece_id else UNK_ID

    def ids_to_tokens(self, ids: Sequence[int]) -> list[str]:
        """The tokens of ids. Raises ValueError for an id outside the vocabulary."""
        if ids and not (min(ids) >= 0 and max(ids) < self.vocab_size):
            wrong = next(i for i in ids if not 0 <= i < self.vocab_size)
            raise ValueError(f"token id {wrong} is outside the vocabulary [0, {self.vocab_size})")
        special = self._special_tokens
        pieces: list[str] = self._processor.id_to_piece([0 if i in special else i - FAIRSEQ_OFFSET for i in ids])
        return [special.get(i, piece) for i, piece in zip(ids, pieces, strict=True)]

    def serialized_model(self) -> bytes:
        """The contents of the model file."""
        content: bytes = self._processor.serialized_model_proto()
        return content

    def _encode_plain(self, texts: list[str], return_offsets: bool, num_threads: int) -> Pieces:
        rows: list[list[int]] = self._processor.encode(texts, out_type=int, num_threads=num_threads)
        row_offsets = offsets_from_lengths(np.fromiter(map(len, rows), np.int64, len(rows)))
        piece_ids = np.fromiter(chain.from_iterable(rows), np.int32, int(row_offsets[-1]))
        is_unknown = piece_ids == 0
        ids = piece_ids + np.int32(FAIRSEQ_OFFSET)
        ids[is_unknown] = UNK_ID
        if not return_offsets:
            return Pieces(ids, row_offsets, None)

        unknown = self._unknown_surfaces(texts, np.flatnonzero(is_unknown), row_offsets)
        lengths = self._piece_lengths[piece_ids]
        lengths[is_unknown] = [len(surface) for surface in unknown.values()]
        alignment = align(self._processor.normalize(texts, with_offsets=True))
        spans = piece_spans(alignment, lengths, row_offsets, texts, self._is_invisible)
        return Pieces(ids, row_offsets, Spans(*spans, unknown))

    def _unknown_surfaces(
        self, texts: list[str], unknown: NDArray[np.intp], row_offsets: NDArray[np.int64]
    ) -> dict[int, str]:
        """The normalised text of unknown pieces, by flat index, in order."""
        rows = np.searchsorted(row_offsets, unknown, side="right") - 1
        known_rows = np.unique(rows).tolist()
        tokens = self._processor.encode([texts[row] for row in known_rows], out_type=str)
        tokens_of_row = dict(zip(known_rows, tokens, strict=True))
        return {
            index: tokens_of_row[row][index - row_offsets[row]]
            for index, row in zip(unknown.tolist(), rows.tolist(), strict=True)
        }

    def _is_invisible(self, char: str) -> bool:
        """Whether the normaliser drops this character or makes it a blank."""
        known = self._invisible.get(char)
        if known is None:
            known = self._invisible[char] = self._processor.normalize(char) == ""
        return known

    def _encode_parsed(
        self, texts: list[str], parsed_tokens: Collection[str], return_offsets: bool, num_threads: int
    ) -> Pieces:
        segments = [split_special_tokens(text, parsed_tokens) for text in texts]
        plain = [segment for row in segments for segment in row if not segment.is_special]
        pieces = self._encode_plain([segment.text for segment in plain], return_offsets, num_threads)
        insertions: list[Insertion] = []
        num_plain = 0
        row_offsets = np.zeros(len(texts) + 1, dtype=np.int64)
        plain_offsets = pieces.row_offsets.tolist()
        for row, row_segments in enumerate(segments):
            for segment in row_segments:
                if segment.is_special:
                    end = segment.begin + len(segment.text)
                    token_id = self._special_ids[segment.text]
                    insertions.append(Insertion(plain_offsets[num_plain], token_id, segment.begin, end))
                else:
                    num_plain += 1
            row_offsets[row + 1] = plain_offsets[num_plain] + len(insertions)
        shifts = np.array([segment.begin for segment in plain], dtype=np.int32)
        return regroup(pieces, shifts, insertions, row_offsets)


def _chunks(texts: list[str]) -> Iterator[list[str]]:
    """Split into slices of about `MAX_CHARS_AT_ONCE` characters; at least one slice."""
    begin = num_chars = 0
    for index, text in enumerate(texts):
        num_chars += len(text)
        if num_chars > MAX_CHARS_AT_ONCE:
            yield texts[begin : index + 1]
            begin, num_chars = index + 1, 0
    if begin < len(texts) or not texts:
        yield texts[begin:]


def _load(model_file: Path) -> tuple[spm.SentencePieceProcessor, list[str]]:
    """The model, and its pieces, which are not UTF-8 in a damaged file."""
    if not model_file.is_file():
        raise FileNotFoundError(f"{model_file}: no such file; expected the sentencepiece model of the checkpoint")
    try:
        processor = spm.SentencePieceProcessor(model_file=str(model_file))
        pieces = processor.id_to_piece(list(range(len(processor))))
    except (RuntimeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{model_file}: not a sentencepiece model ({model_file.stat().st_size} bytes); "
            "a Git LFS pointer or a broken download looks like this, fetch the file again"
        ) from error
    found = (processor.unk_id(), processor.bos_id(), processor.eos_id())
    if found != (0, 1, 2):
        raise ValueError(
            f"{model_file}: <unk>, <s>, </s> have the sentencepiece ids {found}, expected "
            "(0, 1, 2) as in XLM-R's model; this is the model of another tokenizer"
        )
    return processor, pieces


def _check_texts(texts: Sequence[object]) -> None:
    """Raise ValueError for texts that sentencepiece cannot encode; names their index, never the text."""
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"text {index} is of type {type(text).__name__}, expected str")
        if text.isascii():
            continue
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"text {index} holds a lone surrogate at character {error.start}, which is no "
                "Unicode text; text.encode('utf-8', 'replace').decode() replaces such characters"
            ) from error
