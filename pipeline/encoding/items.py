"""Read and check the texts that become sequences, from the columns of a fragment."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.encoding.row_texts import FragmentTexts, Problem
from pipeline.tasks.contract import SequenceSpec
from pipeline.tasks.zero_shot_classification import hypotheses


@dataclass
class Items:
    """Texts or pairs of texts in the order of their rows; several a row for choices and hypotheses.

    Attributes:
        row, number: the row of each item, and its number in the row.
        texts: the bodies, or `words` for the layout "words".
        companions: the other text of each pair.
        problems: by row, why it cannot be read; such a row has no items.
    """

    row: list[int] = field(default_factory=list)
    number: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    words: list[list[str]] = field(default_factory=list)
    companions: list[str] = field(default_factory=list)
    problems: dict[int, str] = field(default_factory=dict)


def read_items(texts: FragmentTexts, spec: SequenceSpec, is_wanted: NDArray[np.bool_]) -> Items:
    """Read the wanted rows; a null, empty or invalid field is a problem of its row."""
    items = Items()
    bodies: Sequence[str | list[str] | Problem] = (
        texts.text_list(spec.columns[0], allow_blank=True)
        if spec.layout == "words"
        else texts.text(spec.columns[0])
    )
    companions = _companions(texts, spec)
    for row in np.flatnonzero(is_wanted).tolist():
        body, others = bodies[row], [None] if companions is None else companions[row]
        problems = [str(found) for found in (body, others) if isinstance(found, Problem)]
        if problems:
            items.problems[row] = "; ".join(dict.fromkeys(problems))
            continue
        assert not isinstance(others, Problem)
        for number, companion in enumerate(others):
            items.row.append(row)
            items.number.append(number)
            if isinstance(body, str):
                items.texts.append(body)
            elif isinstance(body, list):
                items.words.append(body)
            if companion is not None:
                items.companions.append(companion)
    return items


def _companions(texts: FragmentTexts, spec: SequenceSpec) -> list[list[str] | Problem] | None:
    """The companions of each row's body; None for layouts without any."""
    match spec.layout:
        case "pair" | "question":
            return [_listed(text) for text in texts.text(spec.columns[1])]
        case "choices" if len(spec.columns) > 2:
            return texts.text_columns(spec.columns[1:])
        case "choices":
            return texts.text_list(spec.columns[1])
        case "hypotheses":
            labels = candidate_labels(texts, spec)
            return [names if isinstance(names, Problem) else hypotheses(spec.template, names) for names in labels]
    return None


def candidate_labels(texts: FragmentTexts, spec: SequenceSpec) -> list[list[str] | Problem]:
    """The candidate labels of each row for zero-shot classification."""
    if spec.labels:
        return [list(spec.labels)] * texts.num_rows
    return texts.text_list(spec.columns[1])


def decoding_context(texts: FragmentTexts, spec: SequenceSpec, with_offsets: bool) -> pa.Array:
    """What decoding needs of each row besides the sequences, or null.

    The text that spans are cut from (string), the number of words of a split text (int32), or the candidate labels
    of zero-shot classification (list of strings).
    """
    match spec.layout:
        case "words":
            words = texts.text_list(spec.columns[0], allow_blank=True)
            return _nullable([w if isinstance(w, Problem) else len(w) for w in words], pa.int32())
        case "hypotheses":
            return _nullable(candidate_labels(texts, spec), pa.list_(pa.string()))
        case "translation":
            return _nullable(texts.text(spec.columns[0], allow_blank=spec.allows_blank), pa.string())
        case _ if with_offsets:
            return _nullable(texts.text(spec.columns[0]), pa.string())
    return pa.nulls(texts.num_rows)


def _nullable(values: Sequence[object], type_: pa.DataType) -> pa.Array:
    return pa.array([None if isinstance(value, Problem) else value for value in values], type_)


def _listed(text: str | Problem) -> list[str] | Problem:
    return text if isinstance(text, Problem) else [text]
