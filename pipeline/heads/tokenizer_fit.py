"""Check that a job's tokenizer is the one that its trunks and heads were trained with."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from model import XLMRobertaXLTokenizer
from model.tokenizer.files import VOCAB_FILE_NAME
from pipeline.config.job import JobConfig
from pipeline.errors import ConfigError
from pipeline.heads.resolve import Head, read_config, trunk_field, weights_field
from pipeline.heads.tokenizer import load_tokenizer

# Embeddings are often padded to a multiple of a power of two, for faster products: at most of this one.
MAX_FILL_MULTIPLE = 1024


def check_tokenizer(job: JobConfig, heads: Sequence[Head], trunks: Mapping[str, str]) -> list[str]:
    """Compare the tokenizer with the size of the trunks' embeddings, and with the tokenizers of heads.

    `trunks` are directories with the job's fields that name them. Returns warnings. Raises ConfigError if there is
    no tokenizer, it has more pieces than the embeddings have rows, or a head was trained with another one.
    """
    try:
        tokenizer = load_tokenizer(job.model.path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"model.path: {error}") from None
    num_pieces, warnings = tokenizer.vocab_size, []
    for trunk, field in trunks.items():
        rows = read_config(trunk, field).vocab_size
        if num_pieces > rows:
            raise ConfigError(
                f"{field}: {trunk} has embeddings for {rows} tokens, the tokenizer of model.path has "
                f"{num_pieces}; use the tokenizer that belongs to the model"
            )
        if not is_filled_up(num_pieces, rows):
            warnings.append(
                f"{field}: {trunk} has embeddings for {rows:,} tokens, the tokenizer of model.path has only "
                f"{num_pieces:,}; if it is not the tokenizer that the model was trained with, all results are "
                "meaningless"
            )
    for head in heads:
        _require_same_pieces(head, job.model.path, tokenizer)
    return warnings


def is_filled_up(num_pieces: int, num_rows: int) -> bool:
    """Whether the rows are the pieces, padded to a multiple of 1 or 2 or 4 … or 1,024 (250,880 for 250,002)."""
    multiples = (2**n for n in range(MAX_FILL_MULTIPLE.bit_length()))
    return any(num_rows == -(-num_pieces // multiple) * multiple for multiple in multiples)


def _require_same_pieces(head: Head, model_path: str, tokenizer: XLMRobertaXLTokenizer) -> None:
    """Refuse a head or trunk with another tokenizer in its directory, which assigns other ids."""
    options = head.options
    fields = {
        head.trunk: trunk_field(head.name, options),
        options.weights: weights_field(head.name, options, model_path),
    }
    used = Path(model_path) / VOCAB_FILE_NAME
    for directory, field in fields.items():
        own = Path(directory) / VOCAB_FILE_NAME
        if own == used or not own.is_file() or own.read_bytes() == used.read_bytes():
            continue
        try:
            pieces = XLMRobertaXLTokenizer(own).get_vocab()
        except ValueError:
            # Not a tokenizer, but a pointer of Git LFS, for example.
            continue
        if pieces != tokenizer.get_vocab():
            raise ConfigError(
                f"{field}: {directory} comes with a tokenizer of {len(pieces)} pieces, expected those of the one "
                f"in model.path ({tokenizer.vocab_size} pieces), which the job uses; give this head a job of "
                "its own, with its tokenizer in model.path"
            )
