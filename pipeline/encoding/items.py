"""The texts that become sequences: read from the columns of a fragment, and checked row by row."""

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
    """What is read: one item a text or pair, several a row for choices and hypotheses; rows in order.

    Attributes:
        row, number: the row, and which of its items it is.
        texts: the bodies; for the layout "words" they are in `words`.
        companions: the other text of each pair.
        problems: by row, what cannot be read; such a row has no items.
    """

    row: list[int] = field(default_factory=list)
    number: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    words: list[list[str]] = field(default_factory=list)
    companions: list[str] = field(default_factory=list)
    problems: dict[int, str] = field(default_factory=dict)


def read_items(texts: FragmentTexts, spec: SequenceSpec, is_wanted: NDArray[np.bool_]) -> Items:
    """Read the rows that are wanted; a null, empty or wrong field is a problem of its row."""
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
    """The companions of every row's body; None for layouts without any."""
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
    """The candidates of every row of zero-shot classification."""
    if spec.labels:
        return [list(spec.labels)] * texts.num_rows
    return texts.text_list(spec.columns[1])


def decoding_context(texts: FragmentTexts, spec: SequenceSpec, with_offsets: bool) -> pa.Array:
    """What decoding needs of the rows beside the sequences; null where a row has no such thing.

    The text that spans are cut from (strings), the number of words (int32) where a text is split, or the
    candidates of zero-shot classification (lists of strings); all null for specs that need nothing.
    """
    values: Sequence[object] = []
    match spec.layout:
        case "words":
            words = texts.text_list(spec.columns[0], allow_blank=True)
            return pa.array([None if isinstance(w, Problem) else len(w) for w in words], pa.int32())
        case "hypotheses":
            values = candidate_labels(texts, spec)
            return pa.array([None if isinstance(v, Problem) else v for v in values], pa.list_(pa.string()))
        case _ if with_offsets:
            values = texts.text(spec.columns[0])
            return pa.array([None if isinstance(v, Problem) else v for v in values], pa.string())
    return pa.nulls(texts.num_rows)


def _listed(text: str | Problem) -> list[str] | Problem:
    return text if isinstance(text, Problem) else [text]
