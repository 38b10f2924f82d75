"""The benchmark on a tiny geometry: that it runs, with nothing but torch beside it, and what it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.benchmark.command import parse_arguments

ROOT = Path(__file__).resolve().parents[4]
TINY = [
    *("--layers", "2", "--hidden-size", "64", "--intermediate-size", "128", "--attention-heads", "4"),
    *("--vocab-size", "300", "--device", "cpu", "--token-budget", "600", "--rounds", "2", "--threads", "1"),
    *("--scenarios", "short", "windows", "--heads-on", "short"),
]
# Of these the machine is said to have none.
ABSENT = ["ray", "pyarrow", "pandas", "pydantic", "rich", "transformers", "fsspec", "huggingface_hub"]
RUN = f"""
import runpy, sys
from importlib import abc

class Absent(abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {ABSENT}:
            raise ModuleNotFoundError(name)

if __name__ == "__main__":
    sys.meta_path.insert(0, Absent())
    import importlib.util
    usual = importlib.util.find_spec
    importlib.util.find_spec = lambda name, *a: None if name in {ABSENT} else usual(name, *a)
    runpy.run_module("jobs.benchmark", run_name="__main__")
"""


def test_without_ray_it_needs_torch_alone(tmp_path: Path) -> None:
    script, figures = tmp_path / "run.py", tmp_path / "figures.json"
    script.write_text(RUN, encoding="utf-8")
    arguments = [str(script), "--no-ray", *TINY, "--json", str(figures)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    result = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, env=environment, check=False
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(figures.read_text(encoding="utf-8"))
    names = [case["name"] for case in found["cases"] if case["group"] != "matrix product"]
    assert names == [
        "short: trunk",
        "short: trunk, plain layers",
        "windows: trunk",
        "windows: trunk, plain layers",
        "short: trunk, 2 ranks",
        "windows: trunk, 2 ranks",
        "short: embedding",
        "short: classification",
        "short: masked-lm-loss",
        "short: mix, <s>",
        "short: mix, mean",
        "short: mix, mean, each layer normalised",
        "short: mix, every token",
    ]
    for case in found["cases"]:
        assert len(case["seconds"]) == 2
        assert min(case["seconds"]) > 0
        assert case["utilisation"] > 0
        assert case["num_tokens"] <= 600
    assert found["settings"]["token_budget"] == 600
    assert set(found["kernels"]) == {"linear", "attention", "norm"}
    for name in names:
        assert name in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--corpus", "x"], "--corpus needs --tokenizer"),
        (["--whole-job"], "--whole-job needs --corpus"),
        (["--whole-job", "--corpus", "x", "--tokenizer", "y", "--cpu-time"], "--cpu-time measures this process"),
    ],
)
def test_options_that_do_not_go_together(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(arguments)
    assert message in capsys.readouterr().err


def test_processor_time_is_that_of_one_thread() -> None:
    options = parse_arguments(["--cpu-time", "--threads", "4"])
    assert (options.threads, options.ranks) == (1, [])
