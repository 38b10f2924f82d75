"""What surrounds the whole job's measurement; the job itself has tests of its own."""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from jobs.benchmark.timing import Case
from jobs.benchmark.whole_job import WHOLE_JOB, paragraphs, run_program, without_start, write_random_model
from model import XLMRobertaXLConfig, XLMRobertaXLModel, XLMRobertaXLTokenizer
from tests.tiny_tokenizer import write_tiny_sentencepiece


def job(name: str, num_tokens: int, seconds: list[float]) -> Case:
    return Case(name, lambda: None, num_tokens, 10 * num_tokens, WHOLE_JOB, seconds=seconds)


def test_what_starting_costs_is_taken_off_in_every_round() -> None:
    cases = [
        Case("trunk", lambda: None, 5, 5, "trunk", seconds=[1.0, 1.0]),
        job("ours: 100 rows", 1000, [30.0, 50.0]),
        job("theirs: 100 rows", 1000, [90.0, 80.0]),
        job("ours: 4 rows", 40, [10.0, 20.0]),
        job("theirs: 4 rows", 40, [20.0, 20.0]),
    ]
    ours, theirs = without_start(cases)
    assert (ours.name, theirs.name) == ("ours: without start", "theirs: without start")
    assert (ours.num_tokens, ours.flops, ours.seconds) == (960, 9600, [20.0, 30.0])
    assert theirs.seconds == [70.0, 60.0]


def test_the_model_is_a_checkpoint_with_its_tokenizer(tmp_path: Path) -> None:
    write_tiny_sentencepiece(tmp_path)
    config = XLMRobertaXLConfig(
        vocab_size=610, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    directory = write_random_model(tmp_path / "model", config, tmp_path, torch.bfloat16)
    assert XLMRobertaXLModel.from_pretrained(directory, add_pooling_layer=False).dtype == torch.bfloat16
    assert XLMRobertaXLTokenizer.from_pretrained(directory)("a b")["input_ids"]
    assert torch.get_default_dtype() == torch.float32


def test_paragraphs_are_chosen_at_random_and_the_same_again(tmp_path: Path) -> None:
    texts = [f"text {i}" for i in range(50)]
    table = pa.table({"source": ["tatoeba", "mlqa-para"] * 25, "text": texts})
    pq.write_table(table, tmp_path / "corpus.parquet")
    chosen = paragraphs(tmp_path, 10)
    assert len(set(chosen)) == 10
    assert set(chosen) <= set(texts[1::2])
    assert chosen != sorted(chosen)
    assert paragraphs(tmp_path, 10) == chosen


def test_a_command_that_fails_is_told() -> None:
    with pytest.raises(RuntimeError, match=r"ended with 1: .*no such thing"):
        run_program([sys.executable, "-c", "import sys; sys.exit('no such thing')"])
