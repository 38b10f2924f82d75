"""Where a head's text comes from, and which sequences it is read in; heads with equal sources share them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.encoding.row_texts import Problem, text_columns_field, text_field, text_list_field
from pipeline.tasks.all_tasks import (
    FillMaskHead,
    HeadConfig,
    MultipleChoiceHead,
    QuestionAnsweringHead,
    TextClassificationHead,
    TextGenerationHead,
    TokenClassificationHead,
    ZeroShotHead,
)
from pipeline.tasks.zero_shot_classification import hypotheses

Layout = Literal["text", "words", "pair", "question", "choices", "hypotheses", "prompt"]


@dataclass(frozen=True)
class Source:
    """Which columns are read, and how they become sequences.

    A sequence is `<s> body </s>`, or with a companion `<s> body </s></s> companion </s>` (for a question
    `<s> companion </s></s> body </s>`). The body is what windows are cut from.

    Attributes:
        columns: of the body, then of the companion; choices may have several.
        labels: candidates of zero-shot classification where they are not in a column.
        template: makes the companion from a candidate.
        parses_mask: `<mask>` in a text is that token, and a text needs one.
        window: most tokens of a sequence, special tokens included.
        stride: by how many tokens neighbouring windows overlap.
        truncate: one window, cut, in place of several.
    """

    layout: Layout
    columns: tuple[str, ...]
    window: int
    stride: int = 0
    truncate: bool = False
    labels: tuple[str, ...] = ()
    template: str = ""
    parses_mask: bool = False

    def companion_name(self, number: int) -> str:
        """What a message calls the companion of a row's item `number`."""
        if self.layout == "hypotheses":
            return f"candidate {number}"
        if self.layout == "choices" and len(self.columns) == 2:
            return f"column {self.columns[1]!r}, item {number},"
        return f"column {self.columns[1 + number]!r}"


def source_of(options: HeadConfig, max_num_tokens: int) -> Source:
    """The source of a head whose trunk takes at most `max_num_tokens` tokens.

    Raises:
        ValueError: an option does not fit the trunk; the message begins with its name.
    """
    if isinstance(options, TextGenerationHead):
        room = max_num_tokens - options.max_new_tokens
        if room < 2:
            raise ValueError(
                f"max_new_tokens: found {options.max_new_tokens}, expected at most {max_num_tokens - 2}, so that "
                "a prompt fits before them; lower it"
            )
        return Source("prompt", (options.text,), room, truncate=True)
    cutting = (*options.resolve_window(max_num_tokens), options.truncate)
    match options:
        case TextClassificationHead(text_pair=str() as pair):
            return Source("pair", (options.text, pair), *cutting)
        case TokenClassificationHead(words=str() as words):
            return Source("words", (words,), *cutting)
        case QuestionAnsweringHead():
            return Source("question", (options.context, options.question), *cutting)
        case MultipleChoiceHead():
            choices = (options.choices,) if isinstance(options.choices, str) else options.choices
            return Source("choices", (options.prompt, *choices), *cutting)
        case ZeroShotHead():
            columns = (options.text,) if options.labels_column is None else (options.text, options.labels_column)
            return Source("hypotheses", columns, *cutting, options.labels or (), options.hypothesis_template)
    return Source("text", (options.text,), *cutting, parses_mask=isinstance(options, FillMaskHead))


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


def read_items(table: pa.Table, source: Source, is_wanted: NDArray[np.bool_]) -> Items:
    """Read the rows that are wanted; a null, empty or wrong field is a problem of its row."""
    items = Items()
    bodies: Sequence[str | list[str] | Problem] = (
        text_list_field(table, source.columns[0], allow_blank=True)
        if source.layout == "words"
        else text_field(table, source.columns[0])
    )
    companions = _companions(table, source)
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


def _companions(table: pa.Table, source: Source) -> list[list[str] | Problem] | None:
    """The companions of every row's body; None for layouts without any."""
    match source.layout:
        case "pair" | "question":
            return [_listed(text) for text in text_field(table, source.columns[1])]
        case "choices" if len(source.columns) > 2:
            return text_columns_field(table, source.columns[1:])
        case "choices":
            return text_list_field(table, source.columns[1])
        case "hypotheses":
            labels = candidate_labels(table, source)
            return [
                names if isinstance(names, Problem) else hypotheses(source.template, names) for names in labels
            ]
    return None


def candidate_labels(table: pa.Table, source: Source) -> list[list[str] | Problem]:
    """The candidates of every row of zero-shot classification."""
    if source.labels:
        return [list(source.labels)] * table.num_rows
    return text_list_field(table, source.columns[1])


def decoding_context(table: pa.Table, source: Source, with_offsets: bool) -> pa.Array:
    """What decoding needs of the rows beside the sequences; null where a row has no such thing.

    The text that spans are cut from (strings), the number of words (int32) where a text is split, or the
    candidates of zero-shot classification (lists of strings); all null for sources that need nothing.
    """
    values: Sequence[object] = []
    match source.layout:
        case "words":
            words = text_list_field(table, source.columns[0], allow_blank=True)
            return pa.array([None if isinstance(w, Problem) else len(w) for w in words], pa.int32())
        case "hypotheses":
            values = candidate_labels(table, source)
            return pa.array([None if isinstance(v, Problem) else v for v in values], pa.list_(pa.string()))
        case _ if with_offsets:
            values = text_field(table, source.columns[0])
            return pa.array([None if isinstance(v, Problem) else v for v in values], pa.string())
    return pa.nulls(table.num_rows)


def _listed(text: str | Problem) -> list[str] | Problem:
    return text if isinstance(text, Problem) else [text]
