"""Labels are joined by name; what does not fit is refused with what is known and the remedy."""

import pyarrow as pa
import pytest

from jobs.evaluate.examples import GOLD, BenchmarkTask, Kind
from jobs.evaluate.labels import join_labels, require_names_of_golds
from pipeline.errors import ConfigError

NLI = ("entailment", "neutral", "contradiction")
TAGS = ("NOUN", "VERB", "PUNCT")


def task_of(labels: tuple[str, ...], kind: Kind = "classification") -> BenchmarkTask:
    aliases = {"contradictory": "contradiction"} if labels == NLI else {}
    return BenchmarkTask("xnli", kind, ("accuracy",), lambda *_: (), lambda *_: {}, labels=labels, aliases=aliases)


@pytest.mark.parametrize(
    "head",
    [
        ["contradiction", "neutral", "entailment"],
        ["CONTRADICTION", "NEUTRAL", "ENTAILMENT"],
        ["Contradictory", "neutral ", "entailment"],
    ],
)
def test_names_and_not_positions_decide(head: list[str]) -> None:
    joined = join_labels(task_of(NLI), head, None, "heads/nli")
    assert list(joined.values()) == ["contradiction", "neutral", "entailment"]


def test_hyphens_and_blanks_are_underscores() -> None:
    task = task_of(("entailment", "not_entailment"))
    assert join_labels(task, ["not-entailment", "Entailment"], None, "h") == {
        "not-entailment": "not_entailment",
        "Entailment": "entailment",
    }


def test_labels_without_names_are_refused_with_an_example() -> None:
    with pytest.raises(ConfigError) as caught:
        join_labels(task_of(NLI), ["LABEL_0", "LABEL_1", "LABEL_2"], None, "heads/nli")
    message = str(caught.value)
    assert message.startswith("head.weights: heads/nli has labels without names (LABEL_0, LABEL_1, LABEL_2)")
    assert "--labels entailment=LABEL_0,neutral=LABEL_1,contradiction=LABEL_2" in message


def test_given_names_count() -> None:
    given = {"entailment": "LABEL_2", "neutral": "LABEL_1", "contradiction": "LABEL_0"}
    joined = join_labels(task_of(NLI), ["LABEL_0", "LABEL_1", "LABEL_2"], given, "h")
    assert joined == {"LABEL_0": "contradiction", "LABEL_1": "neutral", "LABEL_2": "entailment"}


def test_given_names_may_contradict_those_of_the_head() -> None:
    given = {"entailment": "contradiction", "neutral": "neutral", "contradiction": "entailment"}
    joined = join_labels(task_of(NLI), list(NLI), given, "h")
    assert joined == {"entailment": "contradiction", "neutral": "neutral", "contradiction": "entailment"}


@pytest.mark.parametrize(
    ("head", "given", "field", "named"),
    [
        (["positive", "negative"], None, "head.weights", "has 2 labels"),
        (["entailment", "neutral", "spam"], None, "head.weights", "no label for contradiction"),
        (["entailment", "neutral", "neutral"], None, "head.weights", "no label for contradiction"),
        (["contradiction", "neutral", "contradictory"], None, "head.weights", "no label for entailment"),
        (list(NLI), {"entails": "entailment"}, "--labels", "expected a name of xnli: entailment, neutral"),
        (list(NLI), {"entailment": "LABEL_7"}, "--labels", "expected a label of the head: entailment, neutral"),
    ],
)
def test_what_does_not_fit_is_refused(
    head: list[str], given: dict[str, str] | None, field: str, named: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        join_labels(task_of(NLI), head, given, "h")
    assert str(caught.value).startswith(field)
    assert named in str(caught.value)
    assert "expected" in str(caught.value)


def test_prefixes_of_word_labels_are_dropped_where_the_benchmark_has_none() -> None:
    head = ["O", "B-NOUN", "I-NOUN", "B-VERB", "I-VERB", "B-SYM"]
    joined = join_labels(task_of(TAGS, "words"), head, None, "h")
    assert joined == {
        "O": "O",
        "B-NOUN": "NOUN",
        "I-NOUN": "NOUN",
        "B-VERB": "VERB",
        "I-VERB": "VERB",
        "B-SYM": "B-SYM",
    }


def test_entities_keep_their_prefixes() -> None:
    task = task_of(("O", "B-PER", "I-PER"), "words")
    assert join_labels(task, ["O", "B-PER", "I-PER", "B-MISC"], None, "h") == {
        label: label for label in ("O", "B-PER", "I-PER", "B-MISC")
    }


def test_a_head_of_other_word_labels_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"head\.weights: h has no label for"):
        join_labels(task_of(("O", "B-PER", "I-PER"), "words"), ["O", "B-GENE", "I-GENE"], None, "h")


def test_golds_of_own_data_need_a_label_of_the_head() -> None:
    task = task_of(())
    examples = {"all": pa.table({GOLD: pa.array(["good", "bad", None])})}
    require_names_of_golds(task, examples, {"good": "good", "bad": "bad", "ugly": "ugly"}, "h")
    with pytest.raises(ConfigError, match=r"no label for the gold bad \(found good\).*--labels bad=good"):
        require_names_of_golds(task, examples, {"good": "good"}, "h")
