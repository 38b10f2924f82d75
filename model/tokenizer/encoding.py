"""One token sequence with the offsets, words and segments of its tokens."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import NamedTuple, Self

from model.tokenizer.padding import pad_list
from model.tokenizer.special_tokens import BOS_ID, BOS_TOKEN, EOS_ID, EOS_TOKEN, PAD_ID, PAD_TOKEN
from model.tokenizer.truncation import Side


class CharSpan(NamedTuple):
    """Half-open span of characters in the original string."""

    start: int
    end: int


class TokenSpan(NamedTuple):
    """Half-open span of tokens in a sequence."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """The tokens of one text or one list of words, without special tokens around them; lists of equal length.

    `offsets` are in characters of the text, or of the given word that the token is in. `word_ids` are indices of
    the given words, or of the words between blanks.
    """

    ids: list[int]
    tokens: list[str]
    offsets: list[tuple[int, int]]
    word_ids: list[int]

    def __len__(self) -> int:
        return len(self.ids)

    def slice(self, begin: int, end: int) -> "TokenizedText":
        """Tokens `begin:end`."""
        part = slice(begin, end)
        return TokenizedText(self.ids[part], self.tokens[part], self.offsets[part], self.word_ids[part])


@dataclass(frozen=True, slots=True)
class Encoding:
    """A complete input sequence; every list has one entry per token.

    `word_ids` and `sequence_ids` (0: the text, 1: its pair) are None for added special tokens and
    padding, whose offsets are (0, 0).
    """

    ids: list[int]
    tokens: list[str]
    offsets: list[tuple[int, int]]
    word_ids: list[int | None]
    sequence_ids: list[int | None]
    special_tokens_mask: list[int]
    attention_mask: list[int]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def type_ids(self) -> list[int]:
        """Zeros: XLM-R has no token types."""
        return [0] * len(self.ids)

    @classmethod
    def join(cls, first: TokenizedText, second: TokenizedText | None, *, add_special_tokens: bool) -> Self:
        """`<s> A </s>`, or `<s> A </s></s> B </s>`."""
        bos = _special(BOS_ID, BOS_TOKEN) if add_special_tokens else _NOTHING
        eos = _special(EOS_ID, EOS_TOKEN) if add_special_tokens else _NOTHING
        parts = [(bos, None), (first, 0), (eos, None)]
        if second is not None:
            parts += [(eos, None), (second, 1), (eos, None)]
        return cls(
            ids=[i for part, _ in parts for i in part.ids],
            tokens=[token for part, _ in parts for token in part.tokens],
            offsets=[span for part, _ in parts for span in part.offsets],
            word_ids=[None if sequence is None else word for part, sequence in parts for word in part.word_ids],
            sequence_ids=[sequence for part, sequence in parts for _ in part.ids],
            special_tokens_mask=[int(sequence is None) for part, sequence in parts for _ in part.ids],
            attention_mask=[1 for part, _ in parts for _ in part.ids],
        )

    def padded(self, length: int, side: Side) -> Self:
        """Padded with `<pad>` to `length`; itself if it is that long."""
        if len(self.ids) >= length:
            return self
        padding = type(self)([PAD_ID], [PAD_TOKEN], [(0, 0)], [None], [None], [1], [0])
        lists = ((getattr(self, field.name), *getattr(padding, field.name)) for field in fields(self))
        return type(self)(*(pad_list(values, length, fill, side) for values, fill in lists))

    def char_to_token(self, char: int, sequence: int = 0) -> int | None:
        """The first token whose span contains the character; None for a blank or truncated text."""
        return self._first(sequence, lambda token: self.offsets[token][0] <= char < self.offsets[token][1])

    def token_to_chars(self, token: int) -> CharSpan | None:
        """The token's span; None for an added special token."""
        return None if self.sequence_ids[token] is None else CharSpan(*self.offsets[token])

    def word_to_tokens(self, word: int, sequence: int = 0) -> TokenSpan | None:
        """The tokens of a word; None if it has none."""
        first = self._first(sequence, lambda token: self.word_ids[token] == word)
        if first is None:
            return None
        end = first
        while end < len(self) and (self.word_ids[end], self.sequence_ids[end]) == (word, sequence):
            end += 1
        return TokenSpan(first, end)

    def word_to_chars(self, word: int, sequence: int = 0) -> CharSpan | None:
        """The characters from the first to the last token of a word; None if it has none."""
        tokens = self.word_to_tokens(word, sequence)
        if tokens is None:
            return None
        return CharSpan(self.offsets[tokens.start][0], self.offsets[tokens.end - 1][1])

    def char_to_word(self, char: int, sequence: int = 0) -> int | None:
        """The word that the character is in; None for a blank or truncated text."""
        token = self.char_to_token(char, sequence)
        return None if token is None else self.word_ids[token]

    def _first(self, sequence: int, holds: Callable[[int], bool]) -> int | None:
        tokens = (i for i, name in enumerate(self.sequence_ids) if name == sequence and holds(i))
        return next(tokens, None)


_NOTHING = TokenizedText([], [], [], [])


def _special(token_id: int, token: str) -> TokenizedText:
    return TokenizedText([token_id], [token], [(0, 0)], [0])
