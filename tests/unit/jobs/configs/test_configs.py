import json
import tomllib
from pathlib import Path

import pytest

from jobs.annotate.command import main
from pipeline.config.job import load_job_config
from pipeline.tasks.all_tasks import HEAD_SECTIONS
from tests.example_jobs import CONFIGS, EXAMPLES, ROOT, overrides, write_models_and_texts

SCHEMA = json.loads((CONFIGS / "job.schema.json").read_text(encoding="utf-8"))
JOBS = [*(CONFIGS / name for name in EXAMPLES), *sorted((ROOT / "jobs/demo").glob("*.toml"))]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("examples")
    write_models_and_texts(root)
    return root


def test_there_is_an_example_for_each_purpose() -> None:
    tasks = {head.task for name in EXAMPLES for head in load_job_config(CONFIGS / name).heads.values()}
    assert tasks == set(HEAD_SECTIONS) - {"fill-mask", "causal-lm-loss", "text-generation"}
    assert {"nightly.toml", "routing.toml", "s3.toml", "vectors.toml", "filter_by_loss.toml"} <= set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_name_the_schema_and_their_own_command(name: str) -> None:
    lines = (CONFIGS / name).read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#:schema ./job.schema.json"
    assert f"#   python -m jobs.annotate {name}" in lines
    assert all(len(line) <= 120 for line in lines)


@pytest.mark.parametrize("file", JOBS, ids=lambda file: file.name)
def test_the_schema_takes_every_job(file: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft7Validator(SCHEMA).validate(tomllib.loads(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"path": "m", "devise": "cpu"}},
        {"model": {"path": "m", "replicas": 0}},
        {"input": {"path": 3}},
        {"output": {}},
        {"heads": {}},
        {"heads": {"topic": {"task": "topic"}}},
        {"heads": {"topic": {"task": "embedding", "top_k": 5}}},
        {"heads": {"topic": {"task": "embedding", "pooling": "sum"}}},
    ],
    ids=str,
)
def test_the_schema_refuses_what_the_job_file_does(change: dict[str, object]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    job = {"model": {"path": "m"}, "input": {"path": ["a", "b"]}, "output": {"path": "o"}}
    heads = {"heads": {"topic": {"task": "embedding"}}}
    validator = jsonschema.Draft7Validator(SCHEMA)
    validator.validate(job | heads)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(job | heads | change)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "s3.toml"])
def test_examples_pass_all_checks_before_a_run(name: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main([str(CONFIGS / name), "--plan", *overrides(CONFIGS / name, root)])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    for head in load_job_config(CONFIGS / name).heads:
        assert f"\n{head} " in captured.out
