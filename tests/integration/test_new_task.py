"""A task that has been added to a copy of the packages runs through Ray."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.example_task.checkout import copy_with_new_task, num_confident_tokens, write_token_classifier
from tests.integration.runs import annotate, rows_of
from tests.tiny_tokenizer import SENTENCES

JOB = """
[model]
path = "{directory}/model"
device = "cpu"
dtype = "float32"
cpus_per_rank = 1

[input]
path = "{directory}/in"
max_fragment_rows = 4

[output]
path = "{directory}/out"

[heads.sure]
task = "confident-tokens"
"""


@pytest.mark.slow
def test_a_job_runs_the_new_task(tmp_path: Path) -> None:
    texts = SENTENCES[:6]
    model = write_token_classifier(tmp_path / "model")
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"text": texts}), tmp_path / "in" / "a.parquet")
    job = tmp_path / "job.toml"
    job.write_text(JOB.format(directory=tmp_path), encoding="utf-8")
    finished = annotate(job, logs=tmp_path / "logs", checkout=copy_with_new_task(tmp_path))
    assert finished.code == 0, finished
    output = rows_of(tmp_path / "out", "a")
    assert output.schema.field("sure").type == pa.int32()
    assert output["sure"].to_pylist() == num_confident_tokens(model, list(texts))
