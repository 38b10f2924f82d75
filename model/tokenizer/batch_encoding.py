"""The result of a tokenizer call: model inputs by name, and maps between text and tokens."""

from collections import UserDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from model.tokenizer.encoding import CharSpan, Encoding, TokenSpan

if TYPE_CHECKING:
    import torch

TensorType = Literal["pt", "np"]


class BatchEncoding(UserDict[str, Any]):
    """Model inputs by name, also as attributes: `batch["input_ids"]` is `batch.input_ids`.

    Values are lists, or tensors with `return_tensors`. `model(**batch)` works. The methods below need the
    encodings of a tokenizer call; the results of the tokenizer's `pad` have none.
    """

    def __init__(self, data: Mapping[str, Any] | None = None, encodings: Sequence[Encoding] | None = None) -> None:
        super().__init__(data)
        self._encodings = None if encodings is None else list(encodings)

    def __getattr__(self, name: str) -> Any:
        data = self.__dict__.get("data", {})
        if name not in data:
            raise AttributeError(f"no {name!r} here, there are {', '.join(map(str, data))}")
        return data[name]

    def __getitem__(self, key: str | int) -> Any:
        """The input of that name, or the `Encoding` of that row."""
        return self.encodings[key] if isinstance(key, int) else self.data[key]

    @property
    def encodings(self) -> list[Encoding]:
        """One for each row. Raises ValueError if there are none."""
        if self._encodings is None:
            raise ValueError(
                "tokens, words and offsets are known only to what the tokenizer's call returns, "
                "not to what its pad() returns"
            )
        return self._encodings

    def tokens(self, batch_index: int = 0) -> list[str]:
        """The token strings of a row; unknown pieces as they are in the text."""
        return self.encodings[batch_index].tokens

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token the index of its word; None for special tokens and padding."""
        return self.encodings[batch_index].word_ids

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token 0 (text), 1 (its pair) or None (special tokens and padding)."""
        return self.encodings[batch_index].sequence_ids

    def char_to_token(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The token that holds a character: `(char)` of the only row, or `(row, char)`."""
        encoding, char = self._row(batch_or_char_index, char_index)
        return encoding.char_to_token(char, sequence_index)

    def token_to_chars(self, batch_or_token_index: int, token_index: int | None = None) -> CharSpan | None:
        """The characters of a token: `(token)` of the only row, or `(row, token)`."""
        encoding, token = self._row(batch_or_token_index, token_index)
        return encoding.token_to_chars(token)

    def token_to_word(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """The word of a token: `(token)` of the only row, or `(row, token)`."""
        encoding, token = self._row(batch_or_token_index, token_index)
        return encoding.word_ids[token]

    def token_to_sequence(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """Text (0) or pair (1) of a token: `(token)` of the only row, or `(row, token)`."""
        encoding, token = self._row(batch_or_token_index, token_index)
        return encoding.sequence_ids[token]

    def word_to_tokens(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> TokenSpan | None:
        """The tokens of a word: `(word)` of the only row, or `(row, word)`."""
        encoding, word = self._row(batch_or_word_index, word_index)
        return encoding.word_to_tokens(word, sequence_index)

    def word_to_chars(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> CharSpan | None:
        """The characters of a word: `(word)` of the only row, or `(row, word)`."""
        encoding, word = self._row(batch_or_word_index, word_index)
        return encoding.word_to_chars(word, sequence_index)

    def char_to_word(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The word that holds a character: `(char)` of the only row, or `(row, char)`."""
        encoding, char = self._row(batch_or_char_index, char_index)
        return encoding.char_to_word(char, sequence_index)

    def convert_to_tensors(self, tensor_type: TensorType | None) -> Self:
        """Convert every value to an array ("np") or tensor ("pt") in place; ids are int64.

        Raises ValueError for rows of different lengths.
        """
        if tensor_type is None:
            return self
        if tensor_type not in ("pt", "np"):
            raise ValueError(f"return_tensors: found {tensor_type!r}, expected 'pt' or 'np'")
        for name, values in self.data.items():
            self.data[name] = _tensor(name, values, tensor_type)
        return self

    def to(self, device: "str | int | torch.device") -> Self:
        """Move the tensors to a device, in place."""
        for name, value in self.data.items():
            if hasattr(value, "to"):
                self.data[name] = value.to(device)
        return self

    def _row(self, batch_or_index: int, index: int | None) -> tuple[Encoding, int]:
        if index is None:
            return self.encodings[0], batch_or_index
        return self.encodings[batch_or_index], index


def _tensor(name: str, values: Any, tensor_type: TensorType) -> Any:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(
            f"{name}: the rows differ in length and make no tensor; "
            "use padding=True, and truncation=True where texts are long"
        ) from error
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: holds values that are no numbers and make no tensor")
    if array.size == 0:
        array = array.astype(np.int64)
    if tensor_type == "np":
        return array
    # Imported here, since tokenizing text does not need torch.
    import torch  # noqa: PLC0415

    tensor = torch.from_numpy(array)
    return tensor.float() if array.dtype.kind == "f" else tensor
