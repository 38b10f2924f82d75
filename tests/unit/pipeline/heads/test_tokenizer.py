from pathlib import Path

from pipeline.heads.tokenizer import load_tokenizer
from tests.tiny_tokenizer import write_tiny_sentencepiece


def test_a_tokenizer_is_read_once_a_process(tmp_path: Path) -> None:
    write_tiny_sentencepiece(tmp_path)
    assert load_tokenizer(str(tmp_path)) is load_tokenizer(str(tmp_path))
