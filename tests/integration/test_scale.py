"""The simulation of many replicas, here of two on a few seconds of work: a whole job by ranks that sleep."""

from argparse import Namespace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.benchmark import scale
from tests.tiny_tokenizer import SENTENCES, write_tiny_sentencepiece


@pytest.mark.slow
def test_two_replicas_are_fed_by_one_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "RUN_S", 10.0)
    monkeypatch.setattr(scale, "FRAGMENT_S", 1.0)
    write_tiny_sentencepiece(tmp_path / "tokenizer")
    pq.write_table(pa.table({"text": list(SENTENCES)}), tmp_path / "texts.parquet")
    options = Namespace(
        corpus=tmp_path / "texts.parquet",
        tokenizer=tmp_path / "tokenizer",
        vocab_size=608,
        replicas=[2],
        tokens_per_second=1000.0,
    )
    [found] = scale.measure_scale(options)
    assert found["num_replicas"] == 2
    # Twenty fragments, of which the first and last ones may lie outside of the time that counts.
    assert 10 <= found["num_fragments"] <= 20
    assert 0 < found["waiting_share"] < 0.7
    assert found["tokens_per_s"] == pytest.approx(2000 * (1 - found["waiting_share"]))
    assert {kind for kind, each in found["cpu_ms_per_fragment"].items() if each > 0} >= {"driver", "run's actor"}
