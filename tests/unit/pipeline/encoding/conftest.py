"""The tiny tokenizer, and the directory that it is in."""

from pathlib import Path

import pytest

from model import XLMRobertaXLTokenizer
from pipeline.heads.tokenizer import load_tokenizer
from tests.tiny_tokenizer import write_tiny_sentencepiece


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tokenizer")
    write_tiny_sentencepiece(directory)
    return directory


@pytest.fixture(scope="module")
def tokenizer(directory: Path) -> XLMRobertaXLTokenizer:
    return load_tokenizer(str(directory))
