"""`sentencepiece.bpe.model`: pieces, scores, and the options of the normalizer."""

import random
import tempfile
from functools import cache
from pathlib import Path

from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from tests.fuzz.folders import put
from tests.fuzz.mutations import damaged
from tests.fuzz.outcome import refusals
from tests.tiny_tokenizer import SENTENCES, VOCAB_FILE_NAME, write_tiny_sentencepiece


def mutate(rng: random.Random) -> bytes:
    """The file."""
    content = _content()
    ends = (rng.randrange(200), -rng.randrange(2000) % len(content), rng.randrange(len(content)))
    return damaged(rng, content, lambda: rng.choice(ends))


def check(case: bytes) -> None:
    """Load the tokenizer, encode with offsets, and decode."""
    path = _folder() / VOCAB_FILE_NAME
    put(path, case)
    with refusals(path):
        tokenizer = XLMRobertaXLTokenizer.from_pretrained(path.parent)
        encoding = tokenizer.encode_batch(list(SENTENCES), return_offsets=True)
    assert len(encoding.row_offsets) == len(SENTENCES) + 1
    tokenizer.decode(tokenizer(SENTENCES[0])["input_ids"])


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp())


@cache
def _content() -> bytes:
    return write_tiny_sentencepiece(Path(tempfile.mkdtemp())).read_bytes()
