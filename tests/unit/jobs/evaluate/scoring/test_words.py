"""Labels of words, from a folder to results."""

from pathlib import Path
from typing import Any

import pytest
from seqeval.metrics import f1_score

from jobs.evaluate.examples import BenchmarkTask
from tests.unit.jobs.evaluate.finished import examples_of, own_task_of, subset_of, task_of, words, write_evaluation

UDPOS, WIKIANN = task_of("udpos"), task_of("wikiann")


def test_plain_tags_by_a_head_with_prefixes(tmp_path: Path) -> None:
    """A word without a label counts as O, and a failed sentence as wrong."""
    gold = [["DET", "NOUN", "NOUN"], ["VERB", "PUNCT"], ["NOUN"]]
    found = words([["B-DET", "B-NOUN", "I-NOUN"], ["B-NOUN", None], None])
    labels = {f"{prefix}{tag}": tag for tag in UDPOS.labels for prefix in ("B-", "I-")}
    columns = {"words": [["w"] * len(row) for row in gold], "gold": gold}
    write_evaluation(tmp_path, "udpos", UDPOS, {"de": (examples_of(UDPOS, columns), found)}, labels=labels)
    result = subset_of(tmp_path, UDPOS, "de")
    assert result["figures"]["token_accuracy"]["value"] == pytest.approx(3 / 6)
    # Gold entities: DET, NOUN NOUN, VERB, PUNCT, NOUN; found: DET, NOUN NOUN, NOUN (in place of VERB).
    assert result["figures"]["xtreme_f1"]["value"] == pytest.approx(2 * 2 / (5 + 3))
    assert result["baseline"]["token_accuracy"] == pytest.approx(3 / 6)
    by_label = {label["label"]: label for label in result["details"]["labels"]}
    assert by_label["NOUN"]["recall"] == pytest.approx(2 / 3)
    assert by_label["NOUN"]["precision"] == pytest.approx(2 / 3)
    assert by_label["O"]["support"] == 0


def test_entities_by_seqeval_and_by_type(tmp_path: Path) -> None:
    gold = [["B-PER", "I-PER", "O"], ["B-LOC", "O"], ["B-ORG"]]
    found = [["B-PER", "I-PER", "O"], ["O", "B-LOC"], None]
    columns = {"words": [["w"] * len(row) for row in gold], "gold": gold}
    write_evaluation(tmp_path, "wikiann", WIKIANN, {"de": (examples_of(WIKIANN, columns), words(found))})
    result = subset_of(tmp_path, WIKIANN, "de")
    expected = f1_score(gold, [*found[:2], ["O"]])
    assert result["figures"]["entity_f1"]["value"] == pytest.approx(expected) == pytest.approx(0.4)
    types = result["details"]["types"]
    assert {name: (f["f1"], f["support"], f["num_predicted"]) for name, f in types.items()} == {
        "LOC": (0.0, 1, 1),
        "ORG": (0.0, 1, 0),
        "PER": (1.0, 1, 1),
    }
    assert result["baseline"] == {}


@pytest.mark.parametrize("task", [UDPOS, WIKIANN, own_task_of("words", "entity_f1", "token_accuracy")])
@pytest.mark.parametrize(("gold", "found"), [([[], []], [[], None]), ([["O"]], [None]), ([["O"]], [["O"]])])
def test_sentences_without_words_and_without_entities(
    tmp_path: Path, task: BenchmarkTask, gold: list[list[str]], found: list[Any]
) -> None:
    columns = {"words": [["w"] * len(row) for row in gold], "gold": gold}
    folder = {"de": (examples_of(task, columns), words(found))}
    write_evaluation(tmp_path, "token-classification" if task.name == "own" else task.name, task, folder,
                     labels={"O": "O"})  # fmt: skip
    for name, figure in subset_of(tmp_path, task, "de")["figures"].items():
        is_right = name != "entity_f1" and found == [["O"]]
        assert figure["value"] == float(is_right and name == "token_accuracy")
