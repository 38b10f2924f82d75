"""What the command says of checkpoints, before it plans or runs: no Ray is started."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.annotate.command import main
from pipeline.errors import PipelineError
from tests.unit.pipeline.compute_fixtures import tiny_checkpoint


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_checkpoint(tmp_path / "model")


@pytest.fixture
def job_file(model: Path, tmp_path: Path) -> Path:
    pq.write_table(pa.table({"text": ["a", "b"]}), tmp_path / "in.parquet")
    file = tmp_path / "job.toml"
    file.write_text(
        f'[model]\npath = "{model}"\n[input]\npath = "{tmp_path}/in.parquet"\n[output]\npath = "{tmp_path}/out"\n'
        '[heads.language]\ntask = "text-classification"\n'
    )
    return file


def test_the_plan_names_what_is_not_used(job_file: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(job_file), "--plan"]) == 0
    out, err = capsys.readouterr()
    assert f"unused in {model}: lm_head.* (5 tensors), roberta.pooler.* (2 tensors)\n" in out
    assert err == ""


@pytest.mark.parametrize("options", [("--plan",), ()], ids=["plan", "run"])
def test_warnings_come_before_any_work(
    options: tuple[str, ...],
    job_file: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def connect(address: str) -> int:
        raise PipelineError("no cluster is needed to warn")

    monkeypatch.setattr("pipeline.driver.ray_connection.connect", connect)
    tiny_checkpoint(model, vocab_size=3000)
    (model / "pytorch_model.bin").write_bytes(b"")
    assert main([str(job_file), *options]) == (0 if options else 1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == (
        f"warning: {model}: weights are read from model.safetensors; passed over: pytorch_model.bin"
    )
    assert lines[1].startswith(f"warning: model.path: {model} has embeddings for 3,000 tokens, the tokenizer of")


def test_the_key_that_names_the_model_is_blamed_for_it(
    job_file: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (model / "model.safetensors").unlink()
    assert main([str(job_file), "--plan"]) == 2
    found = capsys.readouterr().err
    assert found.startswith(f"refused: model.path: {model}: expected model.safetensors")
    assert "heads.language" not in found
