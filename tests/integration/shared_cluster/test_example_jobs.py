"""The jobs of `jobs/configs` and of the first page, run as they are on small models and texts."""

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from pipeline.columns import ERROR, NUM_TOKENS
from pipeline.config.job import load_job_config
from tests.example_jobs import CONFIGS, EXAMPLES, NUM_ROWS, overrides, write_models_and_texts
from tests.integration.object_store import KEY, SECRET, s3_server
from tests.integration.runs import annotate
from tests.integration.shared_cluster.conftest import Workbench
from tests.unit.pages import ROOT, blocks
from tests.unit.test_readmes import command_lines

pytestmark = pytest.mark.slow
S3 = "s3.toml"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("examples")
    write_models_and_texts(root)
    return root


def check(job_file: Path, output: pa.Table) -> None:
    """Each row is there, and each head has a value wherever a row asked for it."""
    job = load_job_config(job_file)
    assert output.num_rows == NUM_ROWS
    assert output[ERROR].null_count == NUM_ROWS
    for name in job.heads:
        expected = NUM_ROWS if job.input.route is None else {"vector": 3, "tags": 3, "topic": 4}[name]
        assert output[name].length() - output[name].null_count == expected, name
    if job.input.route is not None:
        assert output.sort_by("id")[NUM_TOKENS].to_pylist()[3] == 0


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != S3])
def test_examples_run(name: str, root: Path, workbench: Workbench) -> None:
    arguments = [*overrides(CONFIGS / name, root), "--address", workbench.cluster.address]
    finished = annotate(CONFIGS / name, *arguments, logs=root / f"{name}-logs")
    assert finished.code == 0, finished
    output = root / load_job_config(CONFIGS / name).output.path
    check(CONFIGS / name, ds.dataset(output, format="parquet").to_table())


def test_the_example_in_a_store_runs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server() as store:
        for bucket in ("corpus", "annotated"):
            store.make_bucket(bucket)
        store.upload(root / "corpus", "corpus/2026")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{store.port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        # On a cluster of its own, whose processes inherit the credentials.
        finished = annotate(CONFIGS / S3, *overrides(CONFIGS / S3, root), logs=root / "s3-logs")
        assert finished.code == 0, finished
        assert "_SUCCESS" in store.paths("annotated/2026")
        output = ds.dataset("annotated/2026", format="parquet", filesystem=store.filesystem())
        check(CONFIGS / S3, output.to_table())


def test_the_first_page_runs(tmp_path: Path, workbench: Workbench) -> None:
    root, page = tmp_path, ROOT / "README.md"
    write_models_and_texts(root)
    [job] = blocks(page, "toml")
    job_file = root / "topics.toml"
    job_file.write_text(job, encoding="utf-8")
    commands = [line[2:] for line in command_lines(page) if line[:2] == ["jobs.annotate", "topics.toml"]]
    assert any("--plan" in command for command in commands)
    outputs = set()
    for number, command in enumerate(commands):
        # The last one is for a cluster whose nodes read a store.
        if any("s3://" in argument for argument in command):
            continue
        named = [argument.removeprefix("output.path=") for argument in command if argument.startswith("output.")]
        located = [f"output.path={root / named[0]}" if a.startswith("output.") else a for a in command]
        arguments = [*overrides(job_file, root), *located, "--address", workbench.cluster.address]
        finished = annotate(job_file, *arguments, logs=root / f"page-{number}")
        assert finished.code == 0, (command, finished)
        if "--plan" not in command:
            outputs.add(root / (named or ["annotated"])[0])
    for output in outputs:
        check(job_file, ds.dataset(output, format="parquet").to_table())
    assert len(outputs) == 2
