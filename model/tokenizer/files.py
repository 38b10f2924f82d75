"""Tokenizer files in Hugging Face layout: the sentencepiece model and the settings."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from model.checkpoints.json_files import read_json_object, shown
from model.tokenizer.special_tokens import MASK_TOKEN, SPECIAL_TOKENS_MAP, refuse_new_tokens, token_content
from model.tokenizer.truncation import Side

VOCAB_FILE_NAME = "sentencepiece.bpe.model"
CONFIG_FILE_NAME = "tokenizer_config.json"
SPECIAL_TOKENS_FILE_NAME = "special_tokens_map.json"
ADDED_TOKENS_FILE_NAME = "added_tokens.json"

# The released models have 514 position embeddings, two of which are before the first token.
DEFAULT_MODEL_MAX_LENGTH = 512
# Transformers writes 10**30 if it is not set.
UNSET_MODEL_MAX_LENGTH = 10**9


@dataclass(frozen=True, slots=True)
class TokenizerConfig:
    """The supported settings of `tokenizer_config.json`."""

    model_max_length: int = DEFAULT_MODEL_MAX_LENGTH
    padding_side: Side = "right"
    truncation_side: Side = "right"
    clean_up_tokenization_spaces: bool = False


def find_vocab_file(directory: Path) -> Path:
    """The sentencepiece model of a checkpoint directory.

    Raises FileNotFoundError, which says what is there instead.
    """
    vocab_file = directory / VOCAB_FILE_NAME
    if vocab_file.is_file():
        return vocab_file
    if not directory.is_dir():
        raise FileNotFoundError(f"{directory}: no such directory; expected one that holds {VOCAB_FILE_NAME}")
    found = sorted(path.name for path in directory.iterdir())
    raise FileNotFoundError(
        f"{vocab_file}: no such file; expected the sentencepiece model of XLM-R, found in the "
        f"directory: {', '.join(found[:8]) or 'nothing'}{', ...' if len(found) > 8 else ''}. "
        "It comes with the checkpoint; tokenizer.json does not replace it"
    )


def read_tokenizer_config(directory: Path) -> TokenizerConfig:
    """Settings from `tokenizer_config.json`, or defaults without that file.

    Raises ValueError for settings of another type, and for those that change the vocabulary: other tokens.
    """
    path = directory / CONFIG_FILE_NAME
    if not path.is_file():
        return TokenizerConfig()
    settings = read_json_object(path)
    _refuse_other_special_tokens(path, settings)
    return TokenizerConfig(
        _max_length(path, settings.get("model_max_length")),
        _side(path, settings, "padding_side"),
        _side(path, settings, "truncation_side"),
        _is_set(path, settings, "clean_up_tokenization_spaces"),
    )


def refuse_other_tokens(directory: Path, special_ids: Mapping[str, int]) -> None:
    """Refuse added tokens that are not special tokens under their own ids.

    They are in `added_tokens.json`, and in `added_tokens_decoder` of `tokenizer_config.json`. Where the latter is
    absent, Transformers reads `special_tokens_map.json`, whose tokens must be those of XLM-R too.

    Args:
        special_ids: the id of each special token in the sentencepiece model.

    Raises ValueError for other tokens or ids, and for files that do not hold tokens and ids.
    """
    path = directory / ADDED_TOKENS_FILE_NAME
    if path.is_file():
        values = read_json_object(path)
        refuse_new_tokens(str(path), values)
        _refuse_other_ids(str(path), values.items(), special_ids)
    path = directory / CONFIG_FILE_NAME
    decoder = read_json_object(path).get("added_tokens_decoder") if path.is_file() else None
    if decoder is not None:
        name = f"{path}: added_tokens_decoder"
        if not isinstance(decoder, dict):
            raise ValueError(f"{name} is {shown(decoder)}, expected an object of ids and tokens")
        refuse_new_tokens(name, decoder.values())
        ids = ((token_content(token), token_id) for token_id, token in decoder.items())
        _refuse_other_ids(name, ids, special_ids)
        return
    path = directory / SPECIAL_TOKENS_FILE_NAME
    if path.is_file():
        _refuse_other_special_tokens(path, read_json_object(path))


def _refuse_other_ids(name: str, added: Iterable[tuple[str, Any]], special_ids: Mapping[str, int]) -> None:
    for token, token_id in added:
        # Keys of JSON are strings.
        if isinstance(token_id, bool) or str(token_id) != str(special_ids[token]):
            raise ValueError(
                f"{name} gives {token} the id {shown(token_id)}, expected {special_ids[token]} as in the "
                "sentencepiece model beside it; take both from one checkpoint"
            )


def _refuse_other_special_tokens(path: Path, settings: dict[str, Any]) -> None:
    for name, token in SPECIAL_TOKENS_MAP.items():
        found = token_content(settings.get(name, token))
        if found != token:
            raise ValueError(f"{path}: {name} is {shown(found)}, expected {token!r} as in XLM-R")
    additional = settings.get("additional_special_tokens") or []
    if not isinstance(additional, list):
        raise ValueError(f"{path}: additional_special_tokens is {shown(additional)}, expected a list of tokens")
    refuse_new_tokens(f"{path}: additional_special_tokens", additional)


def write_tokenizer_files(
    directory: Path, vocabulary: bytes, config: TokenizerConfig, prefix: str | None
) -> tuple[Path, ...]:
    """Write files that `XLMRobertaTokenizer` of Transformers can load; returns the paths."""
    directory.mkdir(parents=True, exist_ok=True)
    mask_token = {
        "__type": "AddedToken",
        "content": MASK_TOKEN,
        "lstrip": True,
        "normalized": False,
        "rstrip": False,
        "single_word": False,
    }
    settings = {
        "tokenizer_class": "XLMRobertaTokenizer",
        **SPECIAL_TOKENS_MAP,
        "mask_token": mask_token,
        **asdict(config),
    }
    contents = {
        CONFIG_FILE_NAME: _to_json(settings),
        SPECIAL_TOKENS_FILE_NAME: _to_json({**SPECIAL_TOKENS_MAP, "mask_token": mask_token}),
    }
    for name, content in contents.items():
        prefixed(directory, prefix, name).write_bytes(content)
    written = tuple(prefixed(directory, prefix, name) for name in contents)
    return (*written, write_vocabulary(directory, vocabulary, prefix))


def write_vocabulary(directory: Path, vocabulary: bytes, prefix: str | None) -> Path:
    """Write the sentencepiece model; returns its path."""
    path = prefixed(directory, prefix, VOCAB_FILE_NAME)
    path.write_bytes(vocabulary)
    return path


def prefixed(directory: Path, prefix: str | None, name: str) -> Path:
    """`directory/prefix-name`, or `directory/name` without a prefix."""
    return directory / (f"{prefix}-{name}" if prefix else name)


def _max_length(path: Path, value: Any) -> int:
    """`model_max_length`, of which Transformers writes a huge one, also as a float, if it is not set."""
    if value is None:
        return DEFAULT_MODEL_MAX_LENGTH
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and value > UNSET_MODEL_MAX_LENGTH:
        return DEFAULT_MODEL_MAX_LENGTH
    if not is_number or not value >= 0 or value != int(value):
        raise ValueError(f"{path}: model_max_length is {shown(value)}, expected a number of tokens")
    return int(value) or DEFAULT_MODEL_MAX_LENGTH


def _is_set(path: Path, settings: dict[str, Any], name: str) -> bool:
    value = settings.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise ValueError(f"{path}: {name} is {shown(value)}, expected true or false")


def _side(path: Path, settings: dict[str, Any], name: str) -> Side:
    value = settings.get(name, "right")
    sides: tuple[Side, ...] = get_args(Side)
    for side in sides:
        if value == side:
            return side
    raise ValueError(f"{path}: {name} is {shown(value)}, expected 'left' or 'right'")


def _to_json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
