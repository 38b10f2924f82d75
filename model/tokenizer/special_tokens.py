"""The five special tokens of XLM-R: their ids, and how to find them in texts."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from model.checkpoints.json_files import shown

BOS_TOKEN, PAD_TOKEN, EOS_TOKEN, UNK_TOKEN, MASK_TOKEN = "<s>", "<pad>", "</s>", "<unk>", "<mask>"

# The order of fairseq's dictionary. `<mask>` has the last id of the vocabulary, so it is not a constant.
BOS_ID, PAD_ID, EOS_ID, UNK_ID = 0, 1, 2, 3

IGNORE_INDEX = -100
"""In place of the id of a label that a loss leaves out, as in torch."""

SPECIAL_TOKENS = frozenset((BOS_TOKEN, PAD_TOKEN, EOS_TOKEN, UNK_TOKEN, MASK_TOKEN))
SPECIAL_TOKENS_MAP = {
    "bos_token": BOS_TOKEN,
    "eos_token": EOS_TOKEN,
    "unk_token": UNK_TOKEN,
    "sep_token": EOS_TOKEN,
    "pad_token": PAD_TOKEN,
    "cls_token": BOS_TOKEN,
    "mask_token": MASK_TOKEN,
}

T = TypeVar("T")


class Fixed(Generic[T]):
    """An attribute with the same value in every vocabulary of XLM-R; setting another one is a ValueError."""

    def __init__(self, value: T) -> None:
        self._value = value

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> T:
        return self._value

    def __set__(self, instance: object, value: Any) -> None:
        if token_content(value) != self._value:
            raise ValueError(
                f"{self._name} is {self._value!r} in every vocabulary of XLM-R, and cannot be {value!r}: this "
                "tokenizer's vocabulary is fixed"
            )


def token_content(token: Any) -> Any:
    """The string of a token, which may be a string, a dictionary or an `AddedToken` of Transformers."""
    return token.get("content") if isinstance(token, dict) else getattr(token, "content", token)


def refuse_new_tokens(name: str, tokens: Collection[Any]) -> None:
    """Raise ValueError for tokens that are not special tokens: the embeddings have no rows for them."""
    contents = map(token_content, tokens)
    others = [token for token in contents if not isinstance(token, str) or token not in SPECIAL_TOKENS]
    if others:
        raise ValueError(
            f"{name} names {len(others)} tokens beyond XLM-R's own, such as {shown(others[0])}; expected none: "
            "this tokenizer's vocabulary is fixed"
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a text that is one special token, or contains none.

    `begin` is the character offset of the part.
    """

    text: str
    begin: int
    is_special: bool


def split_special_tokens(text: str, tokens: Collection[str] = SPECIAL_TOKENS) -> list[Segment]:
    """Split a text at those of `tokens` that it contains; a text without any is one segment.

    `<mask>` absorbs the blanks before it, as in the released tokenizer, so that "a <mask>" and "a<mask>" are the
    same. Its segment is still `<mask>` alone.
    """
    segments = []
    position = 0
    for match in _pattern(frozenset(tokens)).finditer(text):
        before = text[position : match.start()]
        if match.group() == MASK_TOKEN:
            before = before.rstrip()
        if before:
            segments.append(Segment(before, position, is_special=False))
        segments.append(Segment(match.group(), match.start(), is_special=True))
        position = match.end()
    if position < len(text) or not segments:
        segments.append(Segment(text[position:], position, is_special=False))
    return segments


@cache
def _pattern(tokens: frozenset[str]) -> re.Pattern[str]:
    """A pattern for any of the tokens, none of which is a prefix of another."""
    return re.compile("|".join(map(re.escape, sorted(tokens))))
