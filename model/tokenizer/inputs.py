"""Arguments of a tokenizer call, converted to one form: texts, pairs, words, batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from model.tokenizer.truncation import Side

Words = Sequence[str]
TextInput = str | Words | Sequence[tuple[str, str]] | Sequence[Words] | Sequence[tuple[Words, Words]]


class ReturnOptions(TypedDict, total=False):
    """Keyword-only options, whose positions differ between versions of Transformers."""

    padding_side: Side | None
    return_token_type_ids: bool | None
    return_attention_mask: bool | None
    return_overflowing_tokens: bool
    return_special_tokens_mask: bool
    return_offsets_mapping: bool
    return_length: bool
    verbose: bool


class EncodeOptions(ReturnOptions, total=False):
    """The same, with options that some methods also take by position."""

    is_split_into_words: bool
    pad_to_multiple_of: int | None


@dataclass(frozen=True, slots=True)
class Sample:
    """One sequence to encode: the strings of the text, and those of its pair (None without one).

    A text is one string; a text that was split into words is one string per word.
    """

    first: list[str]
    second: list[str] | None


def read_samples(
    text: TextInput, text_pair: TextInput | None, *, is_split_into_words: bool
) -> tuple[list[Sample], bool]:
    """The samples of a call, and whether the call is for a batch.

    Raises ValueError for arguments that contradict each other.
    """
    rows: list[Any] = [text]
    is_batch = _depth(text) > int(is_split_into_words)
    if is_batch:
        rows = list(text)
    if text_pair is None:
        return [_sample(row, None, is_split_into_words) for row in rows], is_batch
    pairs: list[Any] = list(text_pair) if is_batch else [text_pair]
    if len(pairs) != len(rows) or (is_batch and isinstance(text_pair, str)):
        raise ValueError(
            f"text_pair: expected {len(rows)}, one for each text, found "
            f"{'a single string' if isinstance(text_pair, str) else len(pairs)}"
        )
    samples = [_sample(row, pair, is_split_into_words) for row, pair in zip(rows, pairs, strict=True)]
    return samples, is_batch


def _sample(text: Any, text_pair: Any, is_split_into_words: bool) -> Sample:
    """Read one sample; a text nested one level deeper than expected is a text and its pair."""
    depth = int(is_split_into_words)
    if text_pair is None and _depth(text) == depth + 1 and len(text) == 2:
        text, text_pair = text
    for name, value in (("text", text), ("text_pair", text_pair)):
        if value is not None and _depth(value) != depth:
            expected = "a list of words (is_split_into_words=True)" if depth else "a string"
            raise ValueError(
                f"{name}: expected {expected} or a batch of such, found "
                f"{'a string' if isinstance(value, str) else 'lists in lists'}"
            )
    if is_split_into_words:
        return Sample(list(text), None if text_pair is None else list(text_pair))
    return Sample([text], None if text_pair is None else [text_pair])


def _depth(value: Any) -> int:
    """0 for a string, 1 for a list of strings, 2 for a list of lists; by the first element."""
    if not isinstance(value, list | tuple):
        return 0
    return 1 + (_depth(value[0]) if value else 0)
