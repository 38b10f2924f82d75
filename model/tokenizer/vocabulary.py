"""The vocabulary of XLM-RoBERTa-XL: tokens, ids, and decoding of ids to text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, overload

import numpy as np
from numpy.typing import NDArray

from model.tokenizer.detokenization import clean_up, join_tokens
from model.tokenizer.sentencepiece_encoder import SentencePieceEncoder
from model.tokenizer.special_tokens import (
    BOS_ID,
    BOS_TOKEN,
    EOS_ID,
    EOS_TOKEN,
    MASK_TOKEN,
    PAD_ID,
    PAD_TOKEN,
    SPECIAL_TOKENS_MAP,
    UNK_ID,
    UNK_TOKEN,
    Fixed,
    refuse_new_tokens,
)

if TYPE_CHECKING:
    import torch

TokenIds = Union[int, Sequence[int], NDArray[np.integer], "torch.Tensor"]


class Vocabulary:
    """Sentencepiece's pieces under fairseq's ids: `<s>` 0, `<pad>` 1, `</s>` 2, `<unk>` 3, `<mask>` last.

    It is fixed: tokens cannot be added, and `special_tokens` (`bos_token`, ...) cannot be changed. Raises
    FileNotFoundError, or ValueError for a file that is not a sentencepiece model of XLM-R or another special
    token.
    """

    bos_token, cls_token = Fixed(BOS_TOKEN), Fixed(BOS_TOKEN)
    eos_token, sep_token = Fixed(EOS_TOKEN), Fixed(EOS_TOKEN)
    pad_token, unk_token, mask_token = Fixed(PAD_TOKEN), Fixed(UNK_TOKEN), Fixed(MASK_TOKEN)
    bos_token_id, cls_token_id = Fixed(BOS_ID), Fixed(BOS_ID)
    eos_token_id, sep_token_id = Fixed(EOS_ID), Fixed(EOS_ID)
    pad_token_id, unk_token_id = Fixed(PAD_ID), Fixed(UNK_ID)
    pad_token_type_id = 0
    clean_up_tokenization = staticmethod(clean_up)

    def __init__(
        self, vocab_file: str | Path, *, additional_special_tokens: Sequence[Any] = (), **special_tokens: Any
    ) -> None:
        for name in special_tokens:
            if name not in SPECIAL_TOKENS_MAP:
                raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {name!r}")
        self._encoder = SentencePieceEncoder(Path(vocab_file))
        self.clean_up_tokenization_spaces = False
        self.add_special_tokens({**special_tokens, "additional_special_tokens": additional_special_tokens})

    def __len__(self) -> int:
        return self.vocab_size

    @property
    def vocab_size(self) -> int:
        """Number of ids including special tokens: 250,002 in the released models."""
        return self._encoder.vocab_size

    @property
    def mask_token_id(self) -> int:
        """The last id."""
        return self._encoder.mask_id

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """The special tokens by attribute name."""
        return dict(SPECIAL_TOKENS_MAP)

    @property
    def all_special_tokens(self) -> list[str]:
        """The five distinct special tokens."""
        return list(dict.fromkeys(SPECIAL_TOKENS_MAP.values()))

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of `all_special_tokens`."""
        return [self._encoder.token_to_id(token) for token in self.all_special_tokens]

    @property
    def additional_special_tokens(self) -> list[str]:
        """None: XLM-R has no others."""
        return []

    @property
    def additional_special_tokens_ids(self) -> list[int]:
        """None: XLM-R has no others."""
        return []

    @property
    def vocab(self) -> dict[str, int]:
        """Every token and its id."""
        return self.get_vocab()

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """The special tokens and their ids, which Transformers counts as added tokens."""
        return self.get_added_vocab()

    def get_vocab(self) -> dict[str, int]:
        """Every token and its id."""
        tokens = self._encoder.ids_to_tokens(range(self.vocab_size))
        return {token: token_id for token_id, token in enumerate(tokens)}

    def get_added_vocab(self) -> dict[str, int]:
        """The special tokens and their ids, which Transformers counts as added tokens."""
        return dict(sorted(zip(self.all_special_tokens, self.all_special_ids, strict=True), key=lambda x: x[1]))

    def add_tokens(self, new_tokens: Any, special_tokens: bool = False) -> int:
        """Returns 0 for existing special tokens. Raises ValueError for others: tokens cannot be added."""
        refuse_new_tokens("add_tokens", new_tokens if isinstance(new_tokens, list | tuple) else [new_tokens])
        return 0

    def add_special_tokens(
        self, special_tokens_dict: Mapping[str, Any], replace_additional_special_tokens: bool = True
    ) -> int:
        """Returns 0 for existing special tokens. Raises ValueError for others: the vocabulary is fixed."""
        for name, token in special_tokens_dict.items():
            if name == "additional_special_tokens":
                refuse_new_tokens(name, token)
            elif name not in SPECIAL_TOKENS_MAP:
                raise ValueError(f"add_special_tokens: found {name!r}, expected {', '.join(SPECIAL_TOKENS_MAP)}")
            else:
                setattr(self, name, token)
        return 0

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int: ...
    @overload
    def convert_tokens_to_ids(self, tokens: list[str]) -> list[int]: ...
    def convert_tokens_to_ids(self, tokens: str | list[str]) -> int | list[int]:
        """The ids of tokens; that of `<unk>` for any other string."""
        if isinstance(tokens, str):
            return self._encoder.token_to_id(tokens)
        return [self._encoder.token_to_id(token) for token in tokens]

    @overload
    def convert_ids_to_tokens(self, ids: int, skip_special_tokens: bool = False) -> str: ...
    @overload
    def convert_ids_to_tokens(self, ids: Sequence[int], skip_special_tokens: bool = False) -> list[str]: ...
    def convert_ids_to_tokens(
        self, ids: int | Sequence[int], skip_special_tokens: bool = False
    ) -> str | list[str]:
        """The tokens of ids. Raises ValueError for an id outside the vocabulary."""
        if isinstance(ids, int):
            return self._encoder.ids_to_tokens([ids])[0]
        special = self.all_special_ids if skip_special_tokens else []
        return self._encoder.ids_to_tokens([int(i) for i in ids if int(i) not in special])

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """The text of token strings."""
        return join_tokens(tokens)

    def decode(
        self,
        token_ids: TokenIds,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> str:
        """The text of ids; normalisation is not undone."""
        text = join_tokens(self.convert_ids_to_tokens(_id_list(token_ids), skip_special_tokens))
        if clean_up_tokenization_spaces is None:
            clean_up_tokenization_spaces = self.clean_up_tokenization_spaces
        return clean_up(text) if clean_up_tokenization_spaces else text

    def batch_decode(
        self,
        sequences: Sequence[TokenIds],
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> list[str]:
        """The text of each row of ids."""
        return [self.decode(row, skip_special_tokens, clean_up_tokenization_spaces) for row in sequences]

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Number of special tokens added to a text or a pair."""
        return 4 if pair else 2

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """`<s> A </s>`, or `<s> A </s></s> B </s>`."""
        return [BOS_ID, *token_ids_0, EOS_ID, *([] if token_ids_1 is None else [EOS_ID, *token_ids_1, EOS_ID])]

    def get_special_tokens_mask(
        self,
        token_ids_0: list[int],
        token_ids_1: list[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """1 where `build_inputs_with_special_tokens` puts a special token, else 0.

        With `already_has_special_tokens`, for the ids of a whole sequence: 1 for any special token.
        """
        if already_has_special_tokens:
            special = set(self.all_special_ids)
            return [int(i in special) for i in token_ids_0]
        mask = [1, *[0] * len(token_ids_0), 1]
        return mask if token_ids_1 is None else [*mask, 1, *[0] * len(token_ids_1), 1]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """A zero for every token of the sequence: XLM-R has no token types."""
        return [0] * len(self.build_inputs_with_special_tokens(token_ids_0, token_ids_1))


def _id_list(token_ids: TokenIds) -> list[int]:
    ids = token_ids if isinstance(token_ids, int | Sequence) else token_ids.tolist()
    return [ids] if isinstance(ids, int) else list(ids)
