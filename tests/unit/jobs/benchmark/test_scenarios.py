"""Lengths are those that are stated."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.benchmark.scenarios import SCENARIOS, corpus_lengths, draw_lengths, fill, into_windows
from model import XLMRobertaXLTokenizer
from tests.tiny_tokenizer import write_tiny_sentencepiece


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_is_drawn_fills_the_budget_and_is_the_same_again(scenario: str) -> None:
    lengths = draw_lengths(scenario, 8192)
    assert 8192 - 512 < sum(lengths) <= 8192
    assert 1 <= min(lengths) <= max(lengths) <= 512
    assert draw_lengths(scenario, 8192) == lengths
    assert scenario == "windows" or draw_lengths(scenario, 8192, seed=1) != lengths


def test_the_distributions() -> None:
    means = {scenario: np.mean(draw_lengths(scenario, 10**6)) for scenario in SCENARIOS}
    assert means["windows"] == 512
    assert means["paragraphs"] == pytest.approx(190, rel=0.05)
    assert means["short"] == pytest.approx(12, rel=0.1)
    assert means["short"] < means["mixture"] < means["paragraphs"]


def test_windows_of_long_texts() -> None:
    assert into_windows([5, 512, 513, 1024]) == [5, 512, 512, 1, 512, 512]


def test_at_least_one_sequence() -> None:
    assert fill([500, 3], 400) == [500]
    assert fill([100, 300, 1], 400) == [100, 300]


def test_lengths_of_a_corpus(tmp_path: Path) -> None:
    write_tiny_sentencepiece(tmp_path)
    tokenizer = XLMRobertaXLTokenizer.from_pretrained(tmp_path)
    sources = ["tatoeba", "xquad-para", "udhr"] * 20
    texts = {"tatoeba": "a b", "xquad-para": "a b c " * 20, "udhr": "d e f " * 700}
    table = pa.table({"source": sources, "text": [texts[source] for source in sources]})
    pq.write_table(table, tmp_path / "corpus.parquet")
    sizes = {name: len(tokenizer(text)["input_ids"]) for name, text in texts.items()}

    def lengths(scenario: str) -> list[int]:
        return corpus_lengths(scenario, 4000, tmp_path / "corpus.parquet", tokenizer)

    assert set(lengths("short")) == {sizes["tatoeba"]}
    assert set(lengths("paragraphs")) == {sizes["xquad-para"]}
    assert set(lengths("windows")) == {512}
    assert 512 in lengths("mixture")
    assert sizes["tatoeba"] in lengths("mixture")
