"""What is refused before any work: exit code 2, a message that names the field, no Ray, and nothing written."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from jobs.annotate.command import main
from tests.integration.conftest import forbid_ray
from tests.integration.corpus import Corpus
from tests.integration.runs import parts
from tests.integration.shared_cluster.conftest import Annotated, Workbench

pytestmark = pytest.mark.usefixtures("no_ray")


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_ray(monkeypatch)


def files_below(folder: Path) -> dict[Path, int]:
    """Every file, with the time of its last change."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a refused command says; nothing on its standard output."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("refused: ")
    return err.removeprefix("refused: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"dtpye": "auto"}}, "model.dtpye: unknown key; did you mean 'dtype'?"),
        ({"model": {"path": "/nowhere"}}, "model.path: /nowhere"),
        ({"model": {"tensor_parallel_size": 0}}, "model.tensor_parallel_size: found 0 (integer), expected"),
        ({"model": {"tensor_parallel_size": 8}}, "model.tensor_parallel_size: found 8, expected at most the 4"),
        ({"input": {"path": "/nowhere"}}, "input.path: /nowhere"),
        ({"input": {"text": "txet"}}, "column 'txet' is missing; did you mean 'text'?"),
        ({"input": {"text": "id"}}, "column 'id' has type int64, expected string"),
        ({"input": {"route": "lang2"}}, "column 'lang2' is missing"),
        (
            {"input": {"columns": ["id", "error"]}},
            "input.columns: 'error' is one of the columns that every output",
        ),
        (
            {"heads": {"topic": {"task": "embeding"}}},
            'heads.topic.task: found "embeding" (string), expected one of',
        ),
        ({"heads": {"lang": {"task": "embedding"}}}, "column 'lang' has the name of a head"),
        ({"heads": {"topic": {"task": "embedding", "weights": "/nowhere"}}}, "heads.topic.weights: /nowhere"),
    ],
)
def test_a_bad_configuration(
    changes: dict[str, Any],
    message: str,
    workbench: Workbench,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    job_file = workbench.job("refused", output={"path": str(tmp_path / "out")}, **changes)
    for options in ([], ["--plan"]):
        assert message in refusal([str(job_file), *options], capsys)
        assert not (tmp_path / "out").exists()


def test_a_job_file_that_is_not_there_or_no_toml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot be read" in refusal([str(tmp_path / "job.toml")], capsys)
    (tmp_path / "job.toml").write_text("[model", encoding="utf-8")
    assert "not a TOML file" in refusal([str(tmp_path / "job.toml")], capsys)


def test_a_bad_override_says_that_it_is_one(workbench: Workbench, capsys: pytest.CaptureFixture[str]) -> None:
    job_file = workbench.job("refused")
    found = refusal([str(job_file), "--set", "model.token_budget=8"], capsys)
    assert "model.token_budget (from --set model.token_budget=8): found 8 (integer), expected" in found


def test_an_output_within_the_input(
    workbench: Workbench, corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    job_file = workbench.job("refused", output={"path": str(corpus.inputs / "annotated")})
    assert "expected an output outside the input" in refusal([str(job_file)], capsys)
    assert not (corpus.inputs / "annotated").exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("output.path=/", "output.path: / is the root of the file system, expected a folder for the output alone"),
        ("output.path=~", "is your home folder, expected a folder for the output alone"),
        ("output.path=FOLDER/file", "output.path: FOLDER/file is no folder, expected a folder"),
        ("output.path=FOLDER/file/out", "output.path: FOLDER/file is no folder, expected a folder"),
        (f"output.path=FOLDER/{'x' * 256}", "has 256 bytes, expected at most 255; choose a shorter one"),
        (f"output.path=FOLDER/{'abcdefg/' * 600}", "expected at most 4095; choose a shorter one"),
        ("output.path=http://host/x", "output.path: found http://host/x, a web address"),
        ("input.path=https://host/x.parquet", "input.path: found https://host/x.parquet, a web address"),
        ("output.path=s3://", "output.path: found s3://, which names no bucket"),
        (
            "input.path=abfs://c@account.dfs.core.windows.net/x",
            "input.path: abfs://account.dfs.core.windows.net/x",
        ),
        (
            "output.path=abfs://c@account.dfs.core.windows.net/x",
            "output.path: abfs://account.dfs.core.windows.net",
        ),
    ],
)
def test_paths_that_cannot_be(
    setting: str, message: str, workbench: Workbench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    job_file = workbench.job("refused", output={"path": str(tmp_path / "out")})
    for options in ([], ["--plan"]):
        found = refusal([str(job_file), "--set", setting.replace("FOLDER", str(tmp_path)), *options], capsys)
        assert message.replace("FOLDER", str(tmp_path)) in found
        assert found.count("\n") == 1
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_model_without_tokenizer_or_with_damaged_weights(
    workbench: Workbench, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heads = dict.fromkeys(("topic", "genres", "pooled", "loss"))
    model = shutil.copytree(corpus.model, tmp_path / "model")
    output = {"path": str(tmp_path / "out")}
    job_file = workbench.job("refused", model={"path": str(model)}, output=output, heads=heads)
    (model / "sentencepiece.bpe.model").unlink()
    assert f"model.path: {model}/sentencepiece.bpe.model: no such file" in refusal([str(job_file)], capsys)
    shutil.copy(corpus.model / "sentencepiece.bpe.model", model)
    weights = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    assert f"model.path: {model}/model.safetensors" in refusal([str(job_file)], capsys)
    assert not (tmp_path / "out").exists()


def test_weights_that_are_not_finite_or_not_in_the_dtype(
    workbench: Workbench, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heads = dict.fromkeys(("topic", "genres", "pooled", "loss"))
    model = shutil.copytree(corpus.model, tmp_path / "model")
    tensors = load_file(model / "model.safetensors")
    name = next(name for name in tensors if name.endswith("layer.0.output.dense.bias"))
    for value, message in (
        (1e6, f"weights of model.path; {model}/model.safetensors: tensor {name} has numbers up to 1e+06, and"),
        (float("nan"), f"model.path: {model}/model.safetensors: tensor {name} holds NaN or infinity"),
    ):
        tensors[name][1] = value
        save_file(tensors, model / "model.safetensors")
        changes = {"path": str(model), "dtype": "float16"}
        job_file = workbench.job("refused", model=changes, output={"path": str(tmp_path / "out")}, heads=heads)
        for options in ([], ["--plan"]):
            assert message in refusal([str(job_file), *options], capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"model": {"token_budget": 2048}}, "model.token_budget"),
        ({"input": {"columns": ["id"]}}, "input.columns"),
        ({"output": {"compression": "snappy"}}, "output.compression"),
        (
            {"heads": {"loss": {"task": "masked-lm-loss", "mask_probability": 0.3, "seed": 6, "truncate": True}}},
            "heads.loss.seed",
        ),
    ],
)
def test_a_changed_configuration_for_an_output_that_is_there(
    changes: dict[str, Any],
    fields: str,
    one_rank: Annotated,
    workbench: Workbench,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = files_below(one_rank.output)
    output = {"path": str(one_rank.output), **changes.pop("output", {})}
    job_file = workbench.job("changed", output=output, **changes)
    found = refusal([str(job_file)], capsys)
    assert found.startswith(
        f"output.path: {one_rank.output} belongs to another run, which differs in {fields} (found "
    )
    assert files_below(one_rank.output) == before


def test_the_plan_says_what_would_be_done_and_writes_nothing(
    workbench: Workbench, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job_file = workbench.job("planned", output={"path": str(tmp_path / "out")})
    before = files_below(corpus.root)
    assert main([str(job_file), "--plan"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for text in (
        "4 (0 cannot be read)",
        f"{corpus.num_rows}, {corpus.num_rows} to do",
        f"{corpus.model}, float32 on cpu",
        "1 of 1 rank",
        "batches of 1,024 tokens",
        "text + hypothesis",
        "fixed_size_list<item: float>[32]",
    ):
        assert text in out
    assert list(tmp_path.iterdir()) == []
    assert files_below(corpus.root) == before


def test_the_plan_leaves_open_what_a_gpu_would_tell(
    workbench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = {"device": "cuda", "token_budget": "auto"}
    job_file = workbench.job("planned", model=model, output={"path": str(tmp_path / "out")})
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main([str(job_file), "--plan"]) == 0
    assert "batches of 8,192 tokens (how many fit, the GPU tells at the start)" in capsys.readouterr().out
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("pipeline.driver.outlook.free_bytes_here", lambda: 2**36)
    assert main([str(job_file), "--plan"]) == 0
    assert "batches of 32,768 tokens\n" in capsys.readouterr().out


def test_the_plan_of_a_finished_run(one_rank: Annotated, capsys: pytest.CaptureFixture[str]) -> None:
    before = files_below(one_rank.output)
    assert main([*one_rank.arguments, "--plan"]) == 0
    assert f"{len(parts(one_rank.output))}, 0 to do" in capsys.readouterr().out
    assert files_below(one_rank.output) == before


def test_a_file_that_cannot_be_read_is_in_the_plan(
    workbench: Workbench, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = shutil.copytree(corpus.inputs, tmp_path / "in")
    (inputs / "web" / "garbage.parquet").write_bytes(b"PAR1" + bytes(100))
    (inputs / "gone.parquet").symlink_to("/nowhere")
    (inputs / "web/latest").symlink_to("../news")
    for name in ("UPPER.PARQUET", "_SUCCESS"):
        (inputs / name).touch()
    with open(os.fsencode(inputs) + b"/Caf\xe9.parquet", "wb"):
        pass
    job_file = workbench.job("planned", input={"path": str(inputs)}, output={"path": str(tmp_path / "out")})
    assert main([str(job_file), "--plan"]) == 0
    out = capsys.readouterr().out
    assert "7 (3 cannot be read)" in out
    assert f"cannot be read: {inputs}/web/garbage.parquet: " in out
    assert f"cannot be read: {inputs}/gone.parquet: a symbolic link to /nowhere that leads nowhere" in out
    assert f"cannot be read: {inputs}/Caf\\xe9.parquet: " in out
    assert f"do not end with .parquet: {inputs}/UPPER.PARQUET\n" in out
    assert f"read once: {inputs}/web/latest (is {inputs}/news)\n" in out
