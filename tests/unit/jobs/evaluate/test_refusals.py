"""Mistakes of the command: each is refused before any work, with field, found, expected and remedy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs.evaluate.command import main
from tests.unit.jobs.evaluate.finished import classes, examples_of, task_of, write_evaluation
from tests.unit.jobs.evaluate.hub_files import nli, squad, write
from tests.unit.pipeline.compute_fixtures import tiny_checkpoint

NLI = ["entailment", "neutral", "contradiction"]
Refused = Callable[..., str]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints by the labels of their heads."""
    root = tmp_path_factory.mktemp("models")
    heads: dict[str, dict[str, Any]] = {
        "nli": {"id2label": dict(enumerate(NLI))},
        "numbered": {},
        "sentiment": {"id2label": {0: "bad", 1: "good"}},
        "topics": {"id2label": {0: "a", 1: "b"}, "problem_type": "multi_label_classification"},
        "value": {"num_labels": 1},
        "genes": {"id2label": {0: "O", 1: "B-GENE", 2: "I-GENE"}},
    }
    for name, changes in heads.items():
        tiny_checkpoint(root / name, heads=frozenset({"classifier"}), **changes)
    return root


@pytest.fixture
def refused(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Refused:
    """Runs the command in a folder of its own and returns why it refused; nothing may be written or annotated."""

    def annotate(*_: object) -> None:
        raise AssertionError("nothing is to be annotated")

    monkeypatch.setattr("jobs.evaluate.run.annotate", annotate)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        found = [str(models / part[1:]) if part.startswith("@") else part for part in arguments]
        assert main(found) == 2
        assert sorted(tmp_path.rglob("*")) == before
        *notes, message = capsys.readouterr().err.splitlines()
        assert not any("Traceback" in line for line in notes)
        assert message.startswith("refused: ")
        return message.removeprefix("refused: ")

    return run


def require_remedy(message: str, *parts: str) -> None:
    """A message names what was expected, and after a semicolon what to do."""
    assert "expected" in message
    assert message.rpartition("; ")[2].strip()
    for part in parts:
        assert part in message


def write_xnli(*languages: str, split: str = "test") -> None:
    for language in languages:
        write(Path(f"data/{language}/{split}-00000-of-00001.parquet"), nli())


def test_a_language_that_is_missing_or_unknown(refused: Refused) -> None:
    write_xnli("de", "fr")
    run = ("xnli", "--data", "data", "--model", "@nli", "--languages")
    require_remedy(refused(*run, "de,sw"), "--languages: found 'sw'", "expected some of those there: fr, de")
    require_remedy(refused(*run, "xx"), "--languages: found 'xx'", "leave it out")


def test_a_wrong_layout(refused: Refused) -> None:
    write(Path("data/rows.parquet"), {"text": ["a"], "label": [1]})
    require_remedy(
        refused("xnli", "--data", "data", "--model", "@nli"),
        "--split: found test or validation",
        "expected one of rows",
    )
    write(Path("other/de/test-00000-of-00001.parquet"), {"sentence": ["a"], "label": [1]})
    require_remedy(
        refused("xnli", "--data", "other", "--model", "@nli"), "--data: ", "'premise'", "expected string"
    )


@pytest.mark.parametrize("head", ["sentiment", "value", "topics"])
def test_a_head_of_another_task(refused: Refused, head: str) -> None:
    write_xnli("de")
    message = refused("xnli", "--data", "data", "--model", f"@{head}")
    require_remedy(message, "head.weights: ", f"/{head}", "name a head that was fine-tuned for")


@pytest.mark.parametrize(("head", "found"), [("nli", "single_label_classification (3 labels)"),
                                             ("topics", "multi_label_classification (2 labels)")])  # fmt: skip
def test_a_classifier_for_values(refused: Refused, head: str, found: str) -> None:
    write(Path("data/stsb/validation.parquet"), {"sentence1": ["a"], "sentence2": ["b"], "label": [2.5]})
    message = refused("glue/stsb", "--data", "data", "--model", f"@{head}")
    require_remedy(message, f"/{head} is for {found}, expected regression, as stsb is")


def test_one_label_a_row_is_not_several(refused: Refused) -> None:
    write(Path("data/rows.parquet"), {"text": ["a"], "tags": [["bad"]]})
    run = ("text-classification", "--data", "data", "--gold", "tags", "--columns", "text=text", "--model")
    require_remedy(refused(*run, "@sentiment"), "expected multi_label_classification, as own is")


def test_label_names_that_do_not_fit(refused: Refused) -> None:
    write_xnli("de")
    run = ("xnli", "--data", "data", "--model")
    remedy = "--labels entailment=LABEL_0,neutral=LABEL_1,contradiction=LABEL_2"
    require_remedy(refused(*run, "@numbered"), "labels without names", remedy)
    run = (*run, "@numbered", "--labels")
    require_remedy(refused(*run, "entails=LABEL_0"), "--labels: found entails=LABEL_0", "entailment, neutral")
    require_remedy(refused(*run, "entailment=LABEL_7"), "LABEL_0, LABEL_1, LABEL_2", "see id2label")
    require_remedy(refused(*run, "entailment=LABEL_0"), "labels without names")


def test_among_several_tasks_the_remedy_is_for_one(refused: Refused, models: Path) -> None:
    write(Path("data/rte/validation.parquet"), {"sentence1": ["a"], "sentence2": ["b"], "label": [0]})
    write(Path("data/cola/validation.parquet"), {"sentence": ["a"], "label": [0]})
    found = refused("glue", "--data", "data", "--model", f"cola={models}/sentiment,rte={models}/sentiment")
    require_remedy(found, "/sentiment has no label for unacceptable, acceptable",
                   """--set 'tasks.cola.labels={"unacceptable"="bad", "acceptable"="good"}'""")  # fmt: skip


def test_a_head_of_other_word_labels(refused: Refused) -> None:
    write(Path("data/de/validation.parquet"), {"tokens": [["a"]], "ner_tags": [[1]]})
    message = refused("wikiann", "--data", "data", "--model", "@genes")
    require_remedy(message, "no label for O, B-PER", "name a head of wikiann")


def test_a_gold_that_the_head_does_not_have(refused: Refused) -> None:
    write(Path("data/rows.parquet"), {"text": ["a", "b"], "gold": ["bad, really", "good"]})
    run = ("text-classification", "--data", "data", "--columns", "text=text", "--gold", "gold", "--model")
    require_remedy(refused(*run, "@sentiment"), r"--labels 'bad\, really=bad'")


def test_labels_for_a_task_without(refused: Refused) -> None:
    write(Path("data/xcopa/et/test.parquet"), {"premise": ["p"], "choice1": ["a"], "choice2": ["b"],
                                               "question": ["cause"], "label": [0]})  # fmt: skip
    message = refused("xcopa", "--data", "data/xcopa", "--model", "@value", "--labels", "a=LABEL_0")
    require_remedy(message, "--labels: found for multiple-choice")


def test_mixed_splits(refused: Refused) -> None:
    write_xnli("de", "fr")
    write(Path("data/de/copy/test-00000-of-00001.parquet"), nli())
    write(Path("data/de/test.parquet"), nli())
    message = refused("xnli", "--data", "data", "--model", "@nli")
    require_remedy(message, "--data: found", "several exports of one split, expected one")


def test_a_split_that_is_not_there(refused: Refused) -> None:
    write_xnli("de")
    message = refused("xnli", "--data", "data", "--model", "@nli", "--split", "validation")
    require_remedy(message, "--split: found validation", "expected one of test")


def test_a_gold_column_that_is_absent_or_of_another_type(refused: Refused) -> None:
    write(Path("data/rows.parquet"), {"text": ["a"], "dates": pa.array([0], pa.date32())})
    run = ("text-classification", "--data", "data", "--model", "@sentiment", "--columns", "text=text")
    require_remedy(refused(*run), "--gold: is missing")
    require_remedy(refused(*run, "--gold", "label"), "--gold: ", "'label'", "name the column")
    require_remedy(refused(*run, "--gold", "dates"), "--gold: ", "has type date32[day], expected string")


def test_roles_of_columns(refused: Refused) -> None:
    write(Path("data/rows.parquet"), {"text": ["a"], "gold": ["x"]})
    run = ("text-classification", "--data", "data", "--model", "@sentiment", "--gold", "gold")
    require_remedy(refused(*run), "--columns: found no column, expected one, as text-classification reads text")
    require_remedy(refused(*run, "--columns", "words=text"), "does not read words")
    require_remedy(refused(*run, "--columns", "text=text+gold"), "found several columns for text, expected one")


@pytest.mark.parametrize("option", ["--gold", "--by", "--columns", "--language-pair", "--system", "--segment"])
def test_columns_of_ones_own_beside_a_benchmark(refused: Refused, option: str) -> None:
    write_xnli("de")
    message = refused("xnli", "--data", "data", "--model", "@nli", option, "text=label")
    require_remedy(message, f"{option}: found beside the benchmark xnli", "expected beside one of text-class")


@pytest.mark.parametrize(
    ("benchmark", "expected"),
    [
        ("xnil", "expected one of xnli, glue, xquad"),
        ("glue/mnil", "expected a task of glue: cola, sst2"),
        ("text-classification/x", "expected one of xnli"),
        ("xnli/de", "expected a task of xnli: xnli"),
    ],
)
def test_an_unknown_benchmark_or_task(refused: Refused, benchmark: str, expected: str) -> None:
    write_xnli("de")
    require_remedy(refused(benchmark, "--data", "data", "--model", "@nli"), f"found '{benchmark}'", expected)


def test_a_checkpoint_for_an_unknown_task(refused: Refused) -> None:
    write_xnli("de")
    message = refused("glue", "--data", "data", "--model", "colla=x")
    require_remedy(message, "tasks.colla: found a task that glue does not have, expected one of cola, sst2")


def test_no_rows_are_wanted(refused: Refused) -> None:
    write_xnli("de")
    message = refused("xnli", "--data", "data", "--model", "@nli", "--limit", "0")
    require_remedy(message, "limit: found 0, expected a number of rows, 1 or more")


def test_something_is_missing(refused: Refused) -> None:
    write_xnli("de")
    require_remedy(refused("xnli", "--model", "@nli"), "--data: is missing", "add it")
    require_remedy(refused("xnli", "--data", "data"), "--model: is missing", "add --model DIR")
    require_remedy(refused("glue", "--data", "data"), "--model: is missing", "add --model cola=DIR")
    assert (
        refused("xnli", "--data", "nowhere", "--model", "@nli")
        == f"--data: nowhere does not exist in {Path.cwd()}; check the path"
    )
    # A path that no id of the hub has, so that nothing is looked up there.
    message = refused("xnli", "--data", "data", "--model", "/no/model")
    assert message.startswith("model.path: /no/model/config.json is not there")


def test_a_file_of_no_rows(refused: Refused) -> None:
    write(Path("data/de/test-00000-of-00001.parquet"), nli(labels=()))
    message = refused("xnli", "--data", "data", "--model", "@nli")
    require_remedy(message, "--data: found no rows of xnli test in data", "check it")


def test_the_output_of_another_benchmark(refused: Refused) -> None:
    write_xnli("de")
    task = task_of("glue", "sst2")
    examples = examples_of(task, {"text": ["t"], "gold": ["positive"]})
    write_evaluation(Path("out"), "glue/sst2", task, {"all": (examples, classes(["positive"]))})
    message = refused("xnli", "--data", "data", "--model", "@nli", "--output", "out")
    require_remedy(message, "--output: out holds an evaluation of glue/sst2, expected one of xnli")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("head.window=many", "[head] window"),
        ("head.task=embedding", "head.task: found a setting that the evaluation makes by itself"),
        ("head.text=body", "head.text: found a setting that the evaluation makes by itself"),
        ("input.columns=text", "input.columns: found a setting that the evaluation makes by itself, expected one"),
        ("input.path=data", "input.path: found a setting"),
        ("model.dtype=float64", "model.dtype: found"),
        ("head.windw=5", "head.windw: unknown key; did you mean 'window'?"),
    ],
)
def test_settings_of_the_annotation(refused: Refused, setting: str, expected: str) -> None:
    write_xnli("de")
    message = refused("xnli", "--data", "data", "--model", "@nli", "--set", setting)
    assert "heads.prediction" not in message
    assert expected.replace("[head] window", 'head.window: found "many"') in message


def test_questions_for_squad_2_are_none_of_squad(refused: Refused) -> None:
    write(Path("data/plain_text/validation.parquet"), squad(answers=([], ["y"])))
    require_remedy(refused("squad", "--data", "data", "--model", "@sentiment"), "--data: ", "squad_v2")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["xnli", "--json", "x"], "--json: found beside BENCHMARK, expected beside --compare only; leave it out"),
        (
            ["--score-only", "o", "--set", "a=b"],
            "--set: found beside --score-only, expected beside BENCHMARK",
        ),
        (["--score-only", "o", "--columns", "a=b"], "--columns: found beside --score-only"),
        (["--score-only", "o", "--seed", "-1"], "--seed: found -1, expected an integer, 0 or more; correct it"),
        (
            ["--compare", "o", "p", "--report", "r"],
            "--report: found beside --compare, expected beside BENCH",
        ),
        (["--compare", "o", "p", "--labels", "a=b"], "--labels: found beside --compare"),
        (["--compare", "o", "p", "--json", "no/x"], "--json: found no/x, expected a file in a folder"),
        (
            ["--score-only", "o", "--report", "no/x"],
            "--report: found no/x, expected a file in a folder",
        ),
        (["xnli", "--report", "."], "--report: found the folder ., expected a file; name a file in it"),
    ],
)
def test_options_that_do_nothing_are_refused(refused: Refused, arguments: list[str], expected: str) -> None:
    assert refused(*arguments).startswith(expected)


def test_options_of_judged_translations(refused: Refused) -> None:
    write(Path("data/test.parquet"), {"source": ["a", "a"], "translation": ["b", "c"], "score": [1.0, 2.0]})
    run = ("--data", "data", "--model", "@value", "--gold", "score")
    require_remedy(refused("mt-quality", *run[:-2]), "--gold: is missing", "for mt-quality")
    for option, value, expected in (
        ("--by", "source", "--by: found beside mt-quality, expected --language-pair"),
        ("--columns", "source=a+b", "--columns: found several columns for source"),
        ("--columns", "text=source", "--columns: found a column for text"),
        ("--system", "score", "--system: "),
    ):
        require_remedy(refused("mt-quality", *run, option, value), expected)
    message = refused("text-classification", *run, "--segment", "source")
    require_remedy(
        message, "--segment: found beside the benchmark text-classification, expected beside mt-quality"
    )
