"""The settings of a TOML file, the command line and --set as one; what is wrong is named with its remedy."""

from pathlib import Path
from typing import Any

import pytest

from jobs.evaluate.command import parse_arguments, settings_of
from jobs.evaluate.settings import EvaluationSettings
from pipeline.errors import ConfigError

GLUE = """
benchmark = "glue"
data = "data/glue"
[model]
dtype = "bfloat16"
[output]
path = "from-file"
[tasks.cola]
model = "models/cola"
[tasks.mnli]
model = "models/trunk"
head = "heads/mnli"
labels = { entailment = "LABEL_2", neutral = "LABEL_1", contradiction = "LABEL_0" }
"""


def settings(*arguments: str) -> EvaluationSettings:
    return settings_of(parse_arguments(arguments))


def test_a_file_with_a_table_for_each_task(tmp_path: Path) -> None:
    file = tmp_path / "glue.toml"
    file.write_text(GLUE)
    found = settings(str(file), "--set", "model.device=cpu", "--set", "tasks.cola.head=heads/new", "--limit", "5")
    assert (found.benchmark, found.data, found.limit) == ("glue", "data/glue", 5)
    assert found.model == {"dtype": "bfloat16", "device": "cpu"}
    assert found.output == {"path": "from-file"}
    assert found.of_task("cola").model == "models/cola"
    assert found.of_task("cola").head == "heads/new"
    mnli = found.of_task("mnli")
    assert (mnli.model, mnli.head) == ("models/trunk", "heads/mnli")
    assert mnli.labels == {"entailment": "LABEL_2", "neutral": "LABEL_1", "contradiction": "LABEL_0"}
    assert found.of_task("rte").model is None


def test_options_take_the_place_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "glue.toml"
    file.write_text(GLUE)
    found = settings(str(file), "--output", "out", "--model", "cola=a,rte=b", "--labels", "as-given")
    assert found.output == {"path": "out"}
    assert found.of_task("cola").model == "a"
    assert found.of_task("rte").model == "b"
    assert found.of_task("rte").labels == "as-given"
    assert found.of_task("mnli").model == "models/trunk"


def test_one_model_or_one_for_each_task() -> None:
    assert settings("xnli", "--model", "m", "--head", "h").of_task("xnli").head == "h"
    found = settings("glue", "--model", "cola=a,mnli=b", "--head", "mnli=c")
    assert [found.of_task(name).model for name in ("cola", "mnli", "rte")] == ["a", "b", None]
    assert found.of_task("mnli").head == "c"


@pytest.mark.parametrize("path", ["models/lr=1e-5", "s3://bucket/date=2026-01-01/model", "./a=b"])
def test_a_path_with_an_equals_sign_is_one_path(path: str) -> None:
    assert settings("xnli", "--model", path).of_task("xnli").model == path


def test_nested_keys_are_set_as_toml() -> None:
    found = settings("xnli", "--set", "head.window=256", "--set", 'output.compression="none"', "--set",
                     'labels."a,b"=LABEL_0', "--set", "languages=['de', 'fr']")  # fmt: skip
    assert found.head == {"window": 256}
    assert found.output == {"compression": "none", "path": "evaluated/xnli"}
    assert found.labels == {"a,b": "LABEL_0"}
    assert found.languages == ("de", "fr")


def test_columns_of_ones_own_data() -> None:
    found = settings("multiple-choice", "--gold", "g", "--by", "lang", "--columns", "prompt=p,choices=a+b").own
    assert found.columns == {"prompt": "p", "choices": ("a", "b")}
    assert (found.gold, found.by) == ("g", "lang")


def test_the_default_output_has_the_name_of_the_benchmark() -> None:
    assert settings("glue/mnli").output == {"path": "evaluated/glue-mnli"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["xnli", "--limit", "0"], "limit: found 0, expected a number of rows, 1 or more; correct it"),
        (["xnli", "--seed", "-1"], "seed: found -1, expected an integer, 0 or more; correct it"),
        (["xnli", "--set", "limit=ten"], "limit: found 'ten', expected a number of rows, 1 or more; correct it"),
        (["xnli", "--set", "limit=true"], "limit: found True, expected a number of rows"),
        (["xnli", "--languages", ","], "languages: found (), expected a list of one or more names; correct it"),
        (["xnli", "--set", "model=5"], "model: found 5, expected a table [model]; correct it"),
        (["xnli", "--set", "own=5"], "own: found 5, expected a table [own]; correct it"),
        (["xnli", "--set", "tasks.cola=5"], "tasks.cola: found 5, expected a table for each task"),
        (["xnli", "--set", "labels.entailment=2"], "labels.entailment: found 2, expected a table of NAME"),
        (["xnli", "--labels", "entailment"], "--labels: found 'entailment', expected NAME=VALUE"),
        (["xnli", "--set", "model.path=2026"], "model.path: found 2026, expected a path or URI; write it in"),
        (["xnli", "--set", "output.path=2026"], "output.path: found 2026, expected a path or URI"),
        (["xnli", "--head", ""], "head.weights: found '', expected a path or URI"),
        (["", "--limit", "1"], "benchmark: found '', expected a name; correct it"),
        (["xnli", "--set", "split=7"], "split: found 7, expected a name; correct it"),
        (["xnli", "--set", "split"], "--set split: expected key.path=value"),
        (["xnli", "--set", "foo=1"], "foo: found an unknown setting, expected one of benchmark, data, split"),
        (["glue", "--set", "tasks.cola.foo=1"], "tasks.cola.foo: found an unknown setting, expected one of model, "
         "head, labels; correct its name"),
        (["xnli", "--set", "own.foo=1"], "own.foo: found an unknown setting, expected one of gold, by, "
         "language_pair"),
        (["missing.toml"], "missing.toml: the job file cannot be read"),
        (["xnli", "--set", f"labels={'[' * 5000}"], "labels: found '[["),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(arguments: list[str], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(*arguments)
    message = str(caught.value)
    assert message.startswith(expected)
    assert "\n" not in message
    assert len(message) < 300


def test_a_file_without_a_benchmark_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text('data = "d"')
    with pytest.raises(ConfigError, match="benchmark: is missing, expected a name; write it on the command line"):
        settings(str(file))


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("benchmark = 5\nlimit = -1\n")
    with pytest.raises(ConfigError) as caught:
        settings(str(file))
    lines: list[Any] = str(caught.value).splitlines()
    assert [line.strip().partition(":")[0] for line in lines] == ["benchmark", "limit"]
