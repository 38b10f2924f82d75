"""Encode samples: the steps of a tokenizer call from its arguments to its result."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np

from model.tokenizer.batch_encoding import BatchEncoding, TensorType
from model.tokenizer.encoding import Encoding, TokenizedText
from model.tokenizer.inputs import Sample, read_samples
from model.tokenizer.padding import PaddingStrategy, padded_length
from model.tokenizer.pieces import Pieces
from model.tokenizer.sentencepiece_encoder import SentencePieceEncoder
from model.tokenizer.special_tokens import SPECIAL_TOKENS
from model.tokenizer.truncation import Side, TruncationStrategy, part_lengths, window_ranges

# What a call can return of each row, by the names of Transformers.
MODEL_INPUTS: Mapping[str, Callable[[Encoding], Any]] = {
    "input_ids": attrgetter("ids"),
    "token_type_ids": attrgetter("type_ids"),
    "attention_mask": attrgetter("attention_mask"),
    "special_tokens_mask": attrgetter("special_tokens_mask"),
    "offset_mapping": attrgetter("offsets"),
    "length": len,
}


@dataclass(frozen=True, slots=True)
class EncodingOptions:
    """Options of encoding; lengths include special tokens.

    `keeps_overflow`: the windows that truncation cuts off become further sequences.
    """

    add_special_tokens: bool
    is_split_into_words: bool
    truncation: TruncationStrategy
    max_length: int
    stride: int
    keeps_overflow: bool
    padding: PaddingStrategy
    pad_to_multiple_of: int | None
    truncation_side: Side
    padding_side: Side

    def __post_init__(self) -> None:
        multiple = self.pad_to_multiple_of
        cuts, pads = self.truncation != "do_not_truncate", self.padding != "do_not_pad"
        if cuts and pads and multiple and self.max_length % multiple:
            raise ValueError(
                f"pad_to_multiple_of: found {multiple}, which does not divide max_length "
                f"{self.max_length}; both are active, so a row could be neither"
            )


def encode_samples(
    encoder: SentencePieceEncoder, samples: Sequence[Sample], options: EncodingOptions
) -> tuple[list[Encoding], list[int]]:
    """The padded sequences of all samples, and for each the index of its sample."""
    parts = [part for sample in samples for part in (sample.first, sample.second) if part is not None]
    pieces = encoder.encode(
        [string for part in parts for string in part], return_offsets=True, parsed_tokens=SPECIAL_TOKENS
    )
    lengths = [len(part) for part in parts]
    texts = iter(tokenized_texts(pieces, lengths, encoder, is_split_into_words=options.is_split_into_words))
    rows: list[Encoding] = []
    sample_of_row: list[int] = []
    for index, sample in enumerate(samples):
        first = next(texts)
        second = None if sample.second is None else next(texts)
        encodings = sample_encodings(first, second, options)
        kept = encodings if options.keeps_overflow else encodings[:1]
        rows += kept
        sample_of_row += [index] * len(kept)
    length = padded_length(
        [len(row) for row in rows], options.padding, options.max_length, options.pad_to_multiple_of
    )
    return [row.padded(length, options.padding_side) for row in rows], sample_of_row


def tokenized_texts(
    pieces: Pieces, num_strings: Sequence[int], encoder: SentencePieceEncoder, *, is_split_into_words: bool
) -> list[TokenizedText]:
    """The pieces of consecutive strings, `num_strings[i]` of them for text i.

    Words are the given strings if texts are split into words, else they start at blanks.
    """
    assert pieces.spans is not None
    ids: list[int] = pieces.ids.tolist()
    tokens = encoder.ids_to_tokens(ids)
    for index, surface in pieces.spans.unknown_surfaces.items():
        tokens[index] = surface
    spans = list(zip(pieces.spans.begins.tolist(), pieces.spans.ends.tolist(), strict=True))
    if is_split_into_words:
        word_of_piece = np.repeat(np.arange(len(pieces.lengths)), pieces.lengths)
    else:
        word_of_piece = np.cumsum(pieces.spans.is_word_start) - 1

    texts = []
    string = 0
    for count in num_strings:
        begin, end = pieces.row_offsets[string], pieces.row_offsets[string + count]
        words = word_of_piece[begin:end]
        base = string if is_split_into_words else words[:1].sum()
        word_ids: list[int] = (words - base).tolist()
        texts.append(TokenizedText(ids[begin:end], tokens[begin:end], spans[begin:end], word_ids))
        string += count
    return texts


def sample_encodings(
    first: TokenizedText, second: TokenizedText | None, options: EncodingOptions
) -> list[Encoding]:
    """The sequence of a sample, followed by its overflow.

    If both parts of a pair were truncated, the overflow is every window of the first with every window of the
    second, in the order of the released fast tokenizer. Raises ValueError if `max_length` leaves no space for
    tokens.
    """
    budget = None
    if options.truncation != "do_not_truncate":
        num_special = (2 if second is None else 4) if options.add_special_tokens else 0
        budget = options.max_length - num_special
        if budget < 0:
            raise ValueError(
                f"max_length: found {options.max_length}, expected at least the {num_special} special tokens"
            )
    num_second = None if second is None else len(second)
    kept_first, kept_second = part_lengths(options.truncation, len(first), num_second, budget)
    firsts = _windows(first, kept_first, options)
    seconds = [None] if second is None else _windows(second, kept_second, options)
    order = [
        (firsts[0], seconds[0]),
        *((a, b) for a in firsts[1:] for b in seconds),
        *((firsts[0], b) for b in seconds[1:]),
    ]
    return [Encoding.join(a, b, add_special_tokens=options.add_special_tokens) for a, b in order]


def _windows(text: TokenizedText, kept: int, options: EncodingOptions) -> list[TokenizedText]:
    ranges = window_ranges(len(text), kept, options.stride, options.truncation_side)
    return [text.slice(begin, end) for begin, end in ranges]


def encode_call(
    encoder: SentencePieceEncoder,
    text: Any,
    text_pair: Any,
    *,
    options: EncodingOptions,
    wanted: Sequence[str],
    tensor_type: TensorType | None,
) -> BatchEncoding:
    """The result of a call: lists of a single text, rows of a batch, or tensors of rows.

    Args:
        wanted: names in `MODEL_INPUTS`, in the order of the result.
    """
    samples, is_batch = read_samples(text, text_pair, is_split_into_words=options.is_split_into_words)
    rows, sample_of_row = encode_samples(encoder, samples, options)
    inputs: dict[str, list[Any]] = {name: list(map(MODEL_INPUTS[name], rows)) for name in wanted}
    if options.keeps_overflow:
        inputs["overflow_to_sample_mapping"] = sample_of_row
    elif not is_batch and tensor_type is None:
        inputs = {name: values[0] for name, values in inputs.items()}
    return BatchEncoding(inputs, rows).convert_to_tensors(tensor_type)
