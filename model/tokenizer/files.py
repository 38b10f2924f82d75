"""Tokenizer files in Hugging Face layout: the sentencepiece model and the settings."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

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

    Raises ValueError for settings that change the vocabulary: other or added tokens.
    """
    added_file = directory / ADDED_TOKENS_FILE_NAME
    if added_file.is_file():
        refuse_new_tokens(str(added_file), _read_json(added_file))
    path = directory / CONFIG_FILE_NAME
    if not path.is_file():
        return TokenizerConfig()
    settings = _read_json(path)
    for name, token in SPECIAL_TOKENS_MAP.items():
        found = token_content(settings.get(name, token))
        if found != token:
            raise ValueError(f"{path}: {name} is {found!r}, expected {token!r} as in XLM-R")
    added = settings.get("added_tokens_decoder", {}).values()
    refuse_new_tokens(f"{path}: added_tokens_decoder", added)
    additional = settings.get("additional_special_tokens") or []
    refuse_new_tokens(f"{path}: additional_special_tokens", additional)

    max_length = int(settings.get("model_max_length") or DEFAULT_MODEL_MAX_LENGTH)
    return TokenizerConfig(
        DEFAULT_MODEL_MAX_LENGTH if max_length > UNSET_MODEL_MAX_LENGTH else max_length,
        _side(path, settings, "padding_side"),
        _side(path, settings, "truncation_side"),
        bool(settings.get("clean_up_tokenization_spaces", False)),
    )


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


def _side(path: Path, settings: dict[str, Any], name: str) -> Side:
    value = settings.get(name, "right")
    sides: tuple[Side, ...] = get_args(Side)
    for side in sides:
        if value == side:
            return side
    raise ValueError(f"{path}: {name} is {value!r}, expected 'left' or 'right'")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds a {type(content).__name__}, expected an object")
    return content


def _to_json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
