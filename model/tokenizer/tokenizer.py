"""The tokenizer of XLM-RoBERTa-XL, with the names and results of Transformers' XLMRobertaTokenizer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Union, overload

import numpy as np
from numpy.typing import NDArray

from model.checkpoints.hub import HubOptions, tokenizer_directory
from model.tokenizer.batch_encoding import BatchEncoding, TensorType
from model.tokenizer.detokenization import clean_up, join_tokens
from model.tokenizer.files import (
    DEFAULT_MODEL_MAX_LENGTH,
    TokenizerConfig,
    find_vocab_file,
    read_tokenizer_config,
    write_tokenizer_files,
)
from model.tokenizer.inputs import TextInput, read_samples
from model.tokenizer.padding import pad_rows, padded_length, padding_strategy, read_rows
from model.tokenizer.ragged_encoding import RaggedEncoding, join_pieces
from model.tokenizer.samples import EncodingOptions, encode_samples, model_inputs
from model.tokenizer.sentencepiece_encoder import SentencePieceEncoder
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
)
from model.tokenizer.truncation import Side, truncation_strategy

if TYPE_CHECKING:
    import torch

TokenIds = Union[int, Sequence[int], NDArray[np.integer], "torch.Tensor"]


class XLMRobertaXLTokenizer:
    """Sentencepiece under fairseq's ids: `<s>` 0, `<pad>` 1, `</s>` 2, `<unk>` 3, `<mask>` last.

    Call it for padded model inputs as in Transformers; `encode_batch` is the fast way to ragged
    arrays. Attributes that may be set: `model_max_length` (what truncation and padding use where
    no `max_length` is given), `padding_side`, `truncation_side`, `clean_up_tokenization_spaces`.
    """

    model_input_names = ("input_ids", "attention_mask")
    is_fast = True  # in Transformers' sense: offsets and word ids are known

    bos_token = cls_token = BOS_TOKEN
    eos_token = sep_token = EOS_TOKEN
    pad_token, unk_token, mask_token = PAD_TOKEN, UNK_TOKEN, MASK_TOKEN
    bos_token_id = cls_token_id = BOS_ID
    eos_token_id = sep_token_id = EOS_ID
    pad_token_id, unk_token_id = PAD_ID, UNK_ID
    pad_token_type_id = 0
    all_special_tokens = (BOS_TOKEN, EOS_TOKEN, UNK_TOKEN, PAD_TOKEN, MASK_TOKEN)

    def __init__(
        self,
        vocab_file: str | Path,
        *,
        model_max_length: int = DEFAULT_MODEL_MAX_LENGTH,
        padding_side: Side = "right",
        truncation_side: Side = "right",
        clean_up_tokenization_spaces: bool = False,
    ) -> None:
        """`vocab_file` is the sentencepiece model.

        Raises FileNotFoundError, or ValueError for a file that is none, or not of XLM-R's kind.
        """
        self._encoder = SentencePieceEncoder(Path(vocab_file))
        self.model_max_length = model_max_length
        self.padding_side = padding_side
        self.truncation_side = truncation_side
        self.clean_up_tokenization_spaces = clean_up_tokenization_spaces

    @classmethod
    def from_pretrained(cls, path: str | Path, *, revision: str | None = None) -> Self:
        """Reads `sentencepiece.bpe.model` and, if there, `tokenizer_config.json`, of a directory or a hub id.

        Raises FileNotFoundError naming what is missing, ValueError for a tokenizer of other tokens.
        """
        directory = tokenizer_directory(path, HubOptions(revision=revision))
        return cls(find_vocab_file(directory), **asdict(read_tokenizer_config(directory)))

    def save_pretrained(self, directory: str | Path) -> tuple[Path, ...]:
        """Writes the files that `from_pretrained` here and in Transformers read; their paths."""
        config = TokenizerConfig(
            self.model_max_length,
            self.padding_side,
            self.truncation_side,
            self.clean_up_tokenization_spaces,
        )
        return write_tokenizer_files(Path(directory), self._encoder.serialized_model(), config)

    def __len__(self) -> int:
        return self.vocab_size

    def __repr__(self) -> str:
        return f"{type(self).__name__}(vocab_size={self.vocab_size}, model_max_length={self.model_max_length})"

    @property
    def vocab_size(self) -> int:
        """Ids, special tokens included: 250,002 in the released models."""
        return self._encoder.vocab_size

    @property
    def mask_token_id(self) -> int:
        """The last id."""
        return self._encoder.mask_id

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of `all_special_tokens`."""
        return [self._encoder.token_to_id(token) for token in self.all_special_tokens]

    def get_vocab(self) -> dict[str, int]:
        """Every token and its id."""
        tokens = self._encoder.ids_to_tokens(range(self.vocab_size))
        return {token: token_id for token_id, token in enumerate(tokens)}

    def encode_batch(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        *,
        max_length: int | None = DEFAULT_MODEL_MAX_LENGTH,
        add_special_tokens: bool = True,
        return_offsets: bool = False,
        parsed_tokens: Collection[str] = (),
        num_threads: int = 1,
    ) -> RaggedEncoding:
        """Ragged arrays of the token ids of many texts, or pairs of texts; nothing is padded.

        Sequences are cut to `max_length` (None: never), of a pair the longer part first, and keep
        their special tokens. A `<mask>` or `</s>` written in a text is plain text unless it is one of
        `parsed_tokens`: a crawled page cannot end the sequence.
        Raises ValueError for texts that are no Unicode, or pairs that are not as many as texts.
        """
        if pairs is not None and len(pairs) != len(texts):
            raise ValueError(f"pairs: found {len(pairs)}, expected {len(texts)}, one for each text")
        encode = partial(
            self._encoder.encode,
            return_offsets=return_offsets,
            parsed_tokens=parsed_tokens,
            num_threads=num_threads,
        )
        return join_pieces(
            encode(texts),
            None if pairs is None else encode(pairs),
            max_length=max_length,
            add_special_tokens=add_special_tokens,
            truncation_side=self.truncation_side,
        )

    def __call__(
        self,
        text: TextInput,
        text_pair: TextInput | None = None,
        *,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        return_tensors: TensorType | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
    ) -> BatchEncoding:
        """Model inputs for a text, a pair, words (`is_split_into_words`), or a batch of them.

        Special tokens written in a text are parsed; `<mask>` takes the blanks before it with it.

        Args:
            text: a string, a list of strings, or a list of (text, pair); with
                `is_split_into_words` lists of words stand for strings.
            text_pair: what each text is paired with.
            padding: True or "longest", "max_length", False.
            truncation: True or "longest_first", "only_first", "only_second", False; None is
                "longest_first" if `max_length` is given and nothing is padded.
            max_length: tokens, special ones included; `model_max_length` if None.
            stride: tokens that an overflowing window shares with the one before.
            return_overflowing_tokens: also the windows that truncation cuts off, as rows of
                their own; `overflow_to_sample_mapping` says which text a row is of.
            return_tensors: "pt" or "np"; a single text then is a batch of one.
            return_offsets_mapping: (begin, end) in characters for each token, half-open; in the
                word, if words were given; (0, 0) for added special tokens and padding.

        Raises ValueError for arguments that do not go together, or texts that are no Unicode.
        """
        samples, is_batch = read_samples(text, text_pair, is_split_into_words=is_split_into_words)
        padding_kind = padding_strategy(padding)
        pads = padding_kind != "do_not_pad"
        options = EncodingOptions(
            add_special_tokens=add_special_tokens,
            is_split_into_words=is_split_into_words,
            truncation=truncation_strategy(truncation, max_length=max_length, pads=pads),
            max_length=self.model_max_length if max_length is None else max_length,
            stride=stride,
            keeps_overflow=return_overflowing_tokens,
            padding=padding_kind,
            pad_to_multiple_of=pad_to_multiple_of,
            truncation_side=self.truncation_side,
            padding_side=self.padding_side,
        )
        rows, sample_of_row = encode_samples(self._encoder, samples, options)
        inputs = model_inputs(
            rows,
            token_type_ids=bool(return_token_type_ids),
            attention_mask=return_attention_mask is not False,
            special_tokens_mask=return_special_tokens_mask,
            offset_mapping=return_offsets_mapping,
            length=return_length,
        )
        if return_overflowing_tokens:
            inputs["overflow_to_sample_mapping"] = sample_of_row
        elif not is_batch and return_tensors is None:
            inputs = {name: values[0] for name, values in inputs.items()}
        return BatchEncoding(inputs, rows).convert_to_tensors(return_tensors)

    def pad(
        self,
        encoded_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: TensorType | None = None,
    ) -> BatchEncoding:
        """Pads what the call returned: one result, or a list of results for single texts.

        Inputs of names that the tokenizer does not know, such as labels, are left as they are.
        Raises ValueError without `input_ids`.
        """
        rows, is_batch = read_rows(encoded_inputs)
        if return_attention_mask is not False and "attention_mask" not in rows:
            rows["attention_mask"] = [[1] * len(row) for row in rows["input_ids"]]
        max_length = self.model_max_length if max_length is None else max_length
        lengths = [len(row) for row in rows["input_ids"]]
        length = padded_length(lengths, padding_strategy(padding), max_length, pad_to_multiple_of)
        inputs = pad_rows(rows, length, self.padding_side)
        if not is_batch:
            inputs = {name: values[0] for name, values in inputs.items()}
        return BatchEncoding(inputs).convert_to_tensors(return_tensors)

    def tokenize(self, text: str) -> list[str]:
        """The token strings of a text, without special tokens around them."""
        return self._encoder.tokenize(text)

    def encode(self, text: TextInput, text_pair: TextInput | None = None, **options: Any) -> list[int]:
        """The ids alone; options as in a call."""
        return list(self(text, text_pair, **options)["input_ids"])

    def decode(
        self,
        token_ids: TokenIds,
        *,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> str:
        """The text of ids; what normalisation took away does not come back."""
        ids = _id_list(token_ids)
        tokens = self.convert_ids_to_tokens(ids, skip_special_tokens=skip_special_tokens)
        text = join_tokens(tokens)
        if clean_up_tokenization_spaces is None:
            clean_up_tokenization_spaces = self.clean_up_tokenization_spaces
        return clean_up(text) if clean_up_tokenization_spaces else text

    def batch_decode(self, sequences: Sequence[TokenIds], **options: Any) -> list[str]:
        """The text of each row of ids; options of `decode`."""
        return [self.decode(row, **options) for row in sequences]

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int: ...
    @overload
    def convert_tokens_to_ids(self, tokens: list[str]) -> list[int]: ...
    def convert_tokens_to_ids(self, tokens: str | list[str]) -> int | list[int]:
        """`<unk>`'s id for a string that is no token."""
        if isinstance(tokens, str):
            return self._encoder.token_to_id(tokens)
        return [self._encoder.token_to_id(token) for token in tokens]

    @overload
    def convert_ids_to_tokens(self, ids: int, *, skip_special_tokens: bool = False) -> str: ...
    @overload
    def convert_ids_to_tokens(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> list[str]: ...
    def convert_ids_to_tokens(
        self, ids: int | Sequence[int], *, skip_special_tokens: bool = False
    ) -> str | list[str]:
        """Raises ValueError for an id outside the vocabulary."""
        if isinstance(ids, int):
            return self._encoder.ids_to_tokens([ids])[0]
        special = self.all_special_ids if skip_special_tokens else []
        return self._encoder.ids_to_tokens([int(i) for i in ids if int(i) not in special])

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """The text of token strings."""
        return join_tokens(tokens)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many special tokens stand around a text, or around a pair."""
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

        With `already_has_special_tokens`, of the ids of a whole sequence: 1 for any special token.
        """
        if already_has_special_tokens:
            special = set(self.all_special_ids)
            return [int(i in special) for i in token_ids_0]
        mask = [1, *[0] * len(token_ids_0), 1]
        return mask if token_ids_1 is None else [*mask, 1, *[0] * len(token_ids_1), 1]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Zeros, as many as the sequence has tokens: XLM-R knows no token types."""
        return [0] * len(self.build_inputs_with_special_tokens(token_ids_0, token_ids_1))


def _id_list(token_ids: TokenIds) -> list[int]:
    ids = token_ids if isinstance(token_ids, int | Sequence) else token_ids.tolist()
    return [ids] if isinstance(ids, int) else list(ids)
