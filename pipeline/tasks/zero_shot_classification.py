"""Zero-shot classification: what an NLI head says of each hypothesis -> candidate labels, the best first.

As `ZeroShotClassificationPipeline` of Transformers, except that the contradiction label is found by
its name (there it is the first label, or the last where the first is the entailment).
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.segments import descending, list_column, segment_softmax, softmax

PLACE = "{}"
"""Where the candidate label goes in a hypothesis template."""

_ENTAILMENT = re.compile(r"entail", re.IGNORECASE)
_CONTRADICTION = re.compile(r"contradict|(not|non|no)[\W_]*entail", re.IGNORECASE)


def entailment_ids(id2label: Mapping[int, str], *, multi_label: bool = False) -> tuple[int, int | None]:
    """Class ids of entailment and contradiction, found by the beginning of the labels' names.

    Entailment begins with "entail", contradiction with "contradict" or, in models of two classes,
    "not_entail" (also "non-", "no "); of exactly two labels the other one is the contradiction
    whatever its name. Upper and lower case are the same. The second is None where no label fits.

    Raises:
        ConfigError: no label or several fit as entailment, several as contradiction; or none as
            contradiction and `multi_label`, whose scores need one.
    """
    entailment = _find(id2label, _ENTAILMENT)
    if len(entailment) != 1:
        raise _refusal(id2label, entailment, "'entail'")
    contradiction = _find(id2label, _CONTRADICTION)
    if not contradiction and len(id2label) == 2:
        contradiction = [i for i in id2label if i not in entailment]
    if len(contradiction) > 1 or (multi_label and not contradiction):
        raise _refusal(id2label, contradiction, "'contradict' or 'not_entail'")
    return entailment[0], contradiction[0] if contradiction else None


def _find(id2label: Mapping[int, str], pattern: re.Pattern[str]) -> list[int]:
    return [i for i, label in sorted(id2label.items()) if pattern.match(label.strip())]


def _refusal(id2label: Mapping[int, str], found: Sequence[int], beginning: str) -> ConfigError:
    all_labels = ", ".join(repr(label) for _, label in sorted(id2label.items()))
    names = " and ".join(repr(id2label[i]) for i in found) or f"none among {all_labels}"
    return ConfigError(
        f"id2label: found {names}, expected exactly one label that begins with {beginning}; name a "
        "head that was trained on NLI, or correct the names under id2label in its config.json"
    )


def check_template(template: str) -> None:
    """Raises ConfigError unless `{}` is there exactly once. Other braces are text like any other."""
    count = template.count(PLACE)
    if count != 1:
        raise ConfigError(
            f"hypothesis_template: found {PLACE} {count} times, expected once, where the candidate "
            f'label goes; write for example hypothesis_template = "This example is {PLACE}."'
        )


def hypotheses(template: str, labels: Sequence[str]) -> list[str]:
    """The template with each label in it."""
    before, after = template.split(PLACE)
    return [f"{before}{label}{after}" for label in labels]


def repeat_labels(labels: Sequence[str], num_rows: int) -> tuple[list[str], NDArray[np.int64]]:
    """Candidate labels that all rows share, as those of each row end to end, and the offsets of rows."""
    return list(labels) * num_rows, np.arange(num_rows + 1, dtype=np.int64) * len(labels)


def zero_shot_scores(
    logits: NDArray[np.float32],
    row_offsets: NDArray[np.int64],
    entailment: int,
    contradiction: int | None,
    *,
    multi_label: bool,
) -> NDArray[np.float64]:
    """Score `[n]` of each candidate label.

    The softmax of the entailment logits over the row's candidates; with `multi_label`, and where a
    row has a single candidate, each by itself: the softmax over entailment and contradiction, or
    over all classes where there is no contradiction.

    Args:
        logits: float32 `[n, num_labels]`, one row for each (row, candidate).
        row_offsets: int64 `[rows + 1]`, where each row's candidates are.
    """
    together = segment_softmax(logits[:, entailment], row_offsets)
    is_alone = np.full(len(logits), multi_label)
    lengths = np.diff(row_offsets)
    is_alone |= np.repeat(lengths == 1, lengths)
    if not is_alone.any():
        return together
    alone = logits[is_alone]
    if contradiction is None:
        together[is_alone] = softmax(alone)[:, entailment]
    else:
        together[is_alone] = softmax(alone[:, [entailment, contradiction]])[:, 0]
    return together


def zero_shot_column(
    scores: NDArray[np.float64], row_offsets: NDArray[np.int64], labels: Sequence[str]
) -> pa.StructArray:
    """`struct<labels: list<string>, scores: list<float>>`, each row sorted by score, the best first.

    Equal scores keep the order of the candidates.

    Args:
        scores: `[n]`, and `labels` the candidate that each is of.
        row_offsets: int64 `[rows + 1]`.
    """
    order = descending(scores, row_offsets)
    names = pa.array(labels, pa.string()).take(pa.array(order))
    values = pa.array(scores[order].astype(np.float32))
    return pa.StructArray.from_arrays(
        [list_column(names, row_offsets), list_column(values, row_offsets)], ["labels", "scores"]
    )
