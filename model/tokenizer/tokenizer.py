"""The tokenizer of XLM-RoBERTa-XL, with the names and results of Transformers' XLMRobertaTokenizer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self, Unpack, get_args

from model.checkpoints.hub import HubOptions, tokenizer_directory
from model.checkpoints.loading_options import without_neutral_options
from model.tokenizer.batch_encoding import BatchEncoding, TensorType
from model.tokenizer.files import (
    DEFAULT_MODEL_MAX_LENGTH,
    VOCAB_FILE_NAME,
    TokenizerConfig,
    find_vocab_file,
    read_tokenizer_config,
    refuse_other_tokens,
    write_tokenizer_files,
    write_vocabulary,
)
from model.tokenizer.inputs import EncodeOptions, ReturnOptions, TextInput
from model.tokenizer.padding import pad_rows, padded_length, padding_strategy, read_rows, tensor_type_of
from model.tokenizer.ragged_encoding import RaggedEncoding, join_pieces
from model.tokenizer.samples import EncodingOptions, encode_call
from model.tokenizer.special_tokens import SPECIAL_TOKENS_MAP
from model.tokenizer.truncation import Side, truncation_strategy
from model.tokenizer.vocabulary import Vocabulary


class XLMRobertaXLTokenizer(Vocabulary):
    """Converts texts to model inputs and back.

    Call it for padded model inputs as in Transformers; `encode_batch` is faster and returns ragged arrays. These
    attributes may be set: `model_max_length` (the default of `max_length` in truncation and padding),
    `padding_side`, `truncation_side`, `clean_up_tokenization_spaces`.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {"vocab_file": VOCAB_FILE_NAME}
    model_input_names: ClassVar[list[str]] = ["input_ids", "attention_mask"]
    SPECIAL_TOKENS_ATTRIBUTES: ClassVar[list[str]] = [*SPECIAL_TOKENS_MAP, "additional_special_tokens"]
    padding_side: Side = "right"
    truncation_side: Side = "right"
    is_fast = True  # as Transformers means it: offsets and word ids are available

    def __init__(
        self,
        vocab_file: str | Path,
        *,
        model_max_length: int = DEFAULT_MODEL_MAX_LENGTH,
        padding_side: Side = "right",
        truncation_side: Side = "right",
        clean_up_tokenization_spaces: bool = False,
        **special_tokens: Any,
    ) -> None:
        """`vocab_file` is the sentencepiece model; for `special_tokens` and errors see `Vocabulary`."""
        super().__init__(vocab_file, **special_tokens)
        self.name_or_path = ""
        self.model_max_length = model_max_length
        self.padding_side = padding_side
        self.truncation_side = truncation_side
        self.clean_up_tokenization_spaces = clean_up_tokenization_spaces
        for name, side in (("padding_side", padding_side), ("truncation_side", truncation_side)):
            if side not in get_args(Side):
                raise ValueError(f"{name}: found {side!r}, expected 'left' or 'right'")

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        revision: str | None = "main",
        subfolder: str = "",
        **settings: Any,
    ) -> Self:
        """Read `sentencepiece.bpe.model` and optionally `tokenizer_config.json` from a directory or a hub id.

        Args:
            cache_dir, force_download, local_files_only, token, revision, subfolder: see
                `model.checkpoints.hub.HubOptions`; they are not stored.
            settings: arguments of the class, which override those in the file.

        Raises FileNotFoundError naming what is missing, ValueError for a tokenizer with other tokens or an option
        that is accepted only as None, TypeError for an unknown setting.
        """
        options = HubOptions(cache_dir, force_download, local_files_only, token, revision, subfolder)
        settings = without_neutral_options(settings)
        directory = tokenizer_directory(pretrained_model_name_or_path, options)
        vocab_file, stored = find_vocab_file(directory), asdict(read_tokenizer_config(directory))
        tokenizer = cls(vocab_file, **{**stored, **settings})
        refuse_other_tokens(directory, tokenizer.added_tokens_encoder)
        tokenizer.name_or_path = str(pretrained_model_name_or_path)
        return tokenizer

    def save_pretrained(
        self,
        save_directory: str | Path,
        legacy_format: bool | None = None,
        filename_prefix: str | None = None,
        push_to_hub: bool = False,
    ) -> tuple[str, ...]:
        """Write the files that `from_pretrained` reads here and in Transformers; returns their paths.

        Raises ValueError for `legacy_format=False`, which means tokenizer.json, or an upload.
        """
        if legacy_format is False or push_to_hub:
            raise ValueError(
                "legacy_format=False and push_to_hub=True: no tokenizer.json is written, nothing uploaded"
            )
        config = TokenizerConfig(**{field.name: getattr(self, field.name) for field in fields(TokenizerConfig)})
        vocabulary = self._encoder.serialized_model()
        return tuple(map(str, write_tokenizer_files(Path(save_directory), vocabulary, config, filename_prefix)))

    def save_vocabulary(self, save_directory: str | Path, filename_prefix: str | None = None) -> tuple[str]:
        """Write the sentencepiece model into a directory; returns its path."""
        return (str(write_vocabulary(Path(save_directory), self._encoder.serialized_model(), filename_prefix)),)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(vocab_size={self.vocab_size}, model_max_length={self.model_max_length})"

    @property
    def max_len_single_sentence(self) -> int:
        """Maximum tokens of a text within `model_max_length`, without special tokens."""
        return self.model_max_length - self.num_special_tokens_to_add(pair=False)

    @property
    def max_len_sentences_pair(self) -> int:
        """Maximum tokens of a pair within `model_max_length`, without special tokens."""
        return self.model_max_length - self.num_special_tokens_to_add(pair=True)

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
        """Encode many texts, or pairs of texts, to ragged arrays without padding.

        Sequences are truncated to `max_length` (None: never), the longer part of a pair first, and keep their
        special tokens. `<mask>` or `</s>` in a text are plain text unless they are among `parsed_tokens`, so that
        a crawled page cannot end the sequence. Raises ValueError for texts that are not valid Unicode, or if the
        numbers of texts and pairs differ.
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
        text: TextInput | None = None,
        text_pair: TextInput | None = None,
        text_target: TextInput | None = None,
        text_pair_target: TextInput | None = None,
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
        verbose: bool = True,
        *,
        padding_side: Side | None = None,
    ) -> BatchEncoding:
        """Model inputs for a text, a pair, words (`is_split_into_words`), or a batch of them.

        Special tokens in a text are parsed; `<mask>` absorbs the blanks before it.

        Args:
            text: a string, a list of strings, or a list of (text, pair); with
                `is_split_into_words` lists of words instead of strings.
            text_pair: the second text of each pair.
            text_target, text_pair_target: their ids become `labels`, or the model inputs if there is no text.
            padding: True or "longest", "max_length", False.
            truncation: True or "longest_first", "only_first", "only_second", False; None is
                "longest_first" if `max_length` is given without padding.
            max_length: tokens including special ones; `model_max_length` if None.
            stride: tokens that an overflowing window shares with the previous one.
            return_overflowing_tokens: also return the windows that truncation cuts off, as further rows;
                `overflow_to_sample_mapping` is the index of each row's text.
            return_tensors: "pt" or "np"; a single text becomes a batch of one.
            padding_side: overrides that of the tokenizer.
            verbose: for compatibility; ignored.
            return_offsets_mapping: the half-open character span of each token, within its word if words are given;
                (0, 0) for added special tokens and padding.

        Raises ValueError for arguments that contradict each other, or texts that are not valid Unicode.
        """
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
            padding_side=padding_side or self.padding_side,
        )
        is_wanted = {
            "input_ids": True,
            "token_type_ids": return_token_type_ids,
            "attention_mask": return_attention_mask is not False,
            "special_tokens_mask": return_special_tokens_mask,
            "offset_mapping": return_offsets_mapping,
            "length": return_length,
        }
        wanted = [name for name, is_asked_for in is_wanted.items() if is_asked_for]
        encode = partial(encode_call, self._encoder, options=options, wanted=wanted, tensor_type=return_tensors)
        if text is None and text_target is None:
            raise ValueError("text: found None, expected a text, or else a text_target")
        if text is None:
            return encode(text_target, text_pair_target)
        inputs = encode(text, text_pair)
        if text_target is not None:
            inputs["labels"] = encode(text_target, text_pair_target)["input_ids"]
        return inputs

    def encode(
        self,
        text: TextInput,
        text_pair: TextInput | None = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        return_tensors: TensorType | None = None,
        **options: Unpack[EncodeOptions],
    ) -> Any:
        """The ids only: a list, or a tensor or array `[1, length]`; options as in a call."""
        fixed = (add_special_tokens, padding, truncation, max_length, stride)
        return self(text, text_pair, None, None, *fixed, return_tensors=return_tensors, **options)["input_ids"]

    def encode_plus(
        self,
        text: TextInput,
        text_pair: TextInput | None = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        return_tensors: TensorType | None = None,
        **options: Unpack[ReturnOptions],
    ) -> BatchEncoding:
        """The same as a call."""
        fixed = (add_special_tokens, padding, truncation, max_length, stride, is_split_into_words)
        return self(text, text_pair, None, None, *fixed, pad_to_multiple_of, return_tensors, **options)

    def batch_encode_plus(
        self,
        batch_text_or_text_pairs: Sequence[Any],
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        return_tensors: TensorType | None = None,
        **options: Unpack[ReturnOptions],
    ) -> BatchEncoding:
        """The same as a call with a list of texts, or of (text, pair). Raises TypeError for a single text."""
        if not isinstance(batch_text_or_text_pairs, list | tuple):
            found = type(batch_text_or_text_pairs).__name__
            raise TypeError(f"batch_text_or_text_pairs: found a {found}, expected a list or tuple of texts")
        fixed = (add_special_tokens, padding, truncation, max_length, stride, is_split_into_words)
        texts = list(batch_text_or_text_pairs)
        return self(texts, None, None, None, *fixed, pad_to_multiple_of, return_tensors, **options)

    def tokenize(
        self,
        text: TextInput,
        pair: TextInput | None = None,
        add_special_tokens: bool = False,
        **options: Unpack[EncodeOptions],
    ) -> list[str]:
        """The token strings of a text or a pair; options as in a call."""
        return self(text, pair, add_special_tokens=add_special_tokens, **options).tokens()

    def pad(
        self,
        encoded_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: TensorType | None = None,
        verbose: bool = True,
        *,
        padding_side: Side | None = None,
    ) -> BatchEncoding:
        """Pad results of a call: one result, or a list of results of single texts.

        Unknown inputs, such as labels, are left alone; tensors stay tensors. Raises ValueError without
        `input_ids`.
        """
        rows, is_batch = read_rows(encoded_inputs)
        if return_attention_mask is not False and "attention_mask" not in rows:
            rows["attention_mask"] = [[1] * len(row) for row in rows["input_ids"]]
        max_length = self.model_max_length if max_length is None else max_length
        lengths = [len(row) for row in rows["input_ids"]]
        length = padded_length(lengths, padding_strategy(padding), max_length, pad_to_multiple_of)
        inputs = pad_rows(rows, length, padding_side or self.padding_side)
        if not is_batch:
            inputs = {name: values[0] for name, values in inputs.items()}
        return BatchEncoding(inputs).convert_to_tensors(return_tensors or tensor_type_of(encoded_inputs))
