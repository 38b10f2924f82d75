"""Whoever adds a task writes one file and one line: everything else takes it from there."""

import difflib
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.example_task.checkout import (
    LIST_OF_TASKS,
    NEW_LINE,
    NEW_TASK,
    PACKAGES,
    ROOT,
    TASK_FOLDER,
    copy_with_new_task,
    num_confident_tokens,
    write_token_classifier,
)
from tests.tiny_tokenizer import SENTENCES

# What runs in the copy, whose packages come first; the tests' own helpers are those of this checkout.
IN_PROCESS = """
import sys
from pathlib import Path
import pyarrow.parquet as pq
import pipeline
from tests.pipeline_in_process import annotate_in_process

directory, model = map(Path, sys.argv[1:])
assert Path(pipeline.__file__).is_relative_to(Path.cwd()), pipeline.__file__
heads = {"sure": {"task": "confident-tokens"}, "labels": {"task": "token-classification"}}
output, _ = annotate_in_process(directory, pq.read_table(directory / "input.parquet"), heads, model)
pq.write_table(output, directory / "output.parquet")
"""
MODULES = [
    "pipeline.config.job",
    *(f"pipeline.tasks.{file.stem}" for file in sorted((ROOT / TASK_FOLDER).glob("[!_]*.py"))),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_with_new_task(tmp_path_factory.mktemp("packages"))


def test_a_new_task_is_a_file_and_a_line(copy: Path) -> None:
    files = {
        root: {
            file.relative_to(root): file.read_bytes()
            for package in PACKAGES
            for file in (root / package).rglob("*")
            if file.is_file() and "__pycache__" not in file.parts
        }
        for root in (ROOT, copy)
    }
    changed = {path for path, content in files[copy].items() if files[ROOT].get(path) != content}
    assert changed == {LIST_OF_TASKS, TASK_FOLDER / NEW_TASK.name}
    assert files[ROOT].keys() <= files[copy].keys()
    before, after = (files[root][LIST_OF_TASKS].decode().splitlines(keepends=True) for root in (ROOT, copy))
    assert [line for line in difflib.ndiff(before, after) if line[0] in "+-"] == [f"+ {NEW_LINE}"]


def test_a_job_runs_the_new_task(copy: Path, tmp_path: Path) -> None:
    model = write_token_classifier(tmp_path / "model")
    texts = SENTENCES[:6]
    pq.write_table(pa.table({"text": [*texts, None]}), tmp_path / "input.parquet")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", IN_PROCESS, str(tmp_path), str(model)]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    output = pq.read_table(tmp_path / "output.parquet")
    assert output.schema.field("sure").type == pa.int32()
    expected = num_confident_tokens(model, texts)
    assert output["sure"].to_pylist() == [*expected, None]
    assert 0 < sum(expected) < sum(output["num_tokens"].to_pylist()) - 2 * len(texts)


def test_reading_a_job_and_any_task_load_neither_torch_nor_ray() -> None:
    code = """
import importlib, json, sys
loaded = {}
for name in sys.argv[1:]:
    importlib.import_module(name)
    loaded[name] = sorted({"torch", "ray", "model"} & {module.split(".")[0] for module in sys.modules})
print(json.dumps(loaded))
"""
    command = [sys.executable, "-c", code, *MODULES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {name: [] for name in MODULES}
