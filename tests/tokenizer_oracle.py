"""What the tokenizer is compared with, and on which texts."""

import itertools
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tokenizers import pre_tokenizers
from transformers import XLMRobertaTokenizerFast

from tests.shared_data import shared_data
from tests.tiny_tokenizer import SENTENCES, write_tiny_sentencepiece

SPECIAL = (
    "Hello <mask>.",
    "a  <mask><mask> b </s> c",
    "<s>x<pad>y<unk>z",
    "<mask> \u3000 <mask>",
    "<mask",
)
ODD = (
    " leading and  trailing ",
    "",
    "   ",
    "tab\tand\r\nnewline\u200bzero width",
    "ﬁnance Ａ１ ㍿ ﷺ ½",
    "👨‍👩‍👧 family 🇹🇼",
    "数字 12,345.67 और कुछ",
    "unknown \U00020000\U00020001 \U0002123d",
    "control\u0001chars\u0001 \u0001here\u0001",
)


def released_fast(vocab_file: Path) -> XLMRobertaTokenizerFast:
    """The fast tokenizer as the released `tokenizer.json` has it: only the character map normalises,
    and blanks split words before the metaspace does, so that no span holds a blank."""
    oracle = XLMRobertaTokenizerFast(str(vocab_file), model_max_length=512)
    backend = oracle.backend_tokenizer
    backend.normalizer = backend.normalizer[0]
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    return oracle


def vocab_file_of(source: str, directory: Path) -> Path:
    """The "tiny" or the "released" sentencepiece model; skips where the latter is absent."""
    if source == "released":
        return shared_data("xlm-roberta-tokenizer", "sentencepiece.bpe.model")
    return write_tiny_sentencepiece(directory)


def texts_for(vocab_file: Path) -> list[str]:
    """Real text for the released vocabulary, the training sentences for the tiny one."""
    if vocab_file.parent.name != "xlm-roberta-tokenizer":
        return [*SENTENCES, *ODD]
    languages = ("ar", "de", "en", "hi", "sw", "th", "tr", "ur", "vi", "zh")
    files = (next(shared_data("xnli", language).glob("validation*")) for language in languages)
    premises = (pq.read_table(file)["premise"].to_pylist()[:8] for file in files)
    return [*itertools.chain.from_iterable(premises), *ODD]


def corpus_texts() -> list[str]:
    """Every document of the shared corpus."""
    tables = (pq.read_table(file) for file in sorted(shared_data("corpus").glob("*.parquet")))
    return [text for table in tables for text in table["text"].to_pylist()]


def as_lists(batch: Any) -> dict[str, Any]:
    return {name: values.tolist() if hasattr(values, "tolist") else values for name, values in batch.items()}
