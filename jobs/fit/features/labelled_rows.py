"""The labels of rows, or of words, and what else is known of them, from the columns of an annotated folder."""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.fit.features.annotated_parts import AnnotatedParts
from jobs.fit.features.feature_source import FeatureSource
from jobs.fit.fitted_head import Problem
from jobs.fit.labels.label_columns import problem_of, require_variety, targets_of
from jobs.fit.labels.split_column import given_parts
from jobs.fit.labels.targets import RowFacts, Targets
from jobs.fit.settings import FitHead, FitSettings
from pipeline.columns import ERROR
from pipeline.errors import InputError
from pipeline.row_errors import kind_of

NO_LABEL, OTHER_COUNT = "without a label", "with another number of labels than of words"


@dataclass(frozen=True)
class LabelledRows:
    """The labels of a head, for each of its features.

    Attributes:
        left_out: how many rows of the input have none, by reason.
    """

    targets: Targets
    facts: RowFacts
    left_out: dict[str, int]


@dataclass(frozen=True)
class _Rows:
    """Columns of the rows of the input, as Python values.

    Attributes:
        groups: the group of each.
        reasons: why a row has no features or label, or None.
    """

    labels: list[Any]
    groups: list[Any]
    languages: list[str] | None
    parts: list[str] | None
    reasons: list[str | None]


def labelled_rows(
    parts: AnnotatedParts, settings: FitSettings, name: str, source: FeatureSource, is_there: NDArray[np.bool_]
) -> LabelledRows:
    """The labels of the head `name`.

    Args:
        is_there: which rows, or words, have features.

    Raises InputError for a label column of another type, or without labels to tell apart.
    """
    head, field = settings.heads[name], f"heads.{name}.label"
    problem = problem_of(_type(parts, head.label, field), head, field)
    rows = _read(parts, settings, head, source)
    if source.words is None:
        found = _of_texts(rows, problem, is_there)
    else:
        words = [some or [] for some in _values(parts, source.words, "input.words")]
        found = _of_words(rows, words, is_there)
    require_variety(found.targets, field, head)
    return found


def _of_texts(rows: _Rows, problem: Problem, is_there: NDArray[np.bool_]) -> LabelledRows:
    known = [
        None if reason is not None or not there else label
        for label, reason, there in zip(rows.labels, rows.reasons, is_there.tolist(), strict=True)
    ]
    facts = RowFacts(rows.groups, rows.languages, rows.parts)
    return LabelledRows(targets_of(known, problem), facts, _counted(rows.reasons))


def _of_words(rows: _Rows, words: Sequence[Sequence[str]], is_there: NDArray[np.bool_]) -> LabelledRows:
    """One entry for each word; those of a sentence whose labels are not as many as its words have none."""
    reasons = list(rows.reasons)
    tags: list[list[Any]] = []
    lengths = [len(some) for some in words]
    for row, (labels, length) in enumerate(zip(rows.labels, lengths, strict=True)):
        if reasons[row] is None and len(labels) != length:
            reasons[row] = OTHER_COUNT
        tags.append([None] * length if reasons[row] is not None else labels)
    known = [
        tag if there else None for tag, there in zip(chain.from_iterable(tags), is_there.tolist(), strict=True)
    ]
    sentences = np.repeat(np.arange(len(lengths)), lengths)

    def of_words(values: Sequence[Any]) -> list[Any]:
        return [values[row] for row in sentences.tolist()]

    facts = RowFacts(
        of_words(rows.groups),
        None if rows.languages is None else of_words(rows.languages),
        None if rows.parts is None else of_words(rows.parts),
        sentences,
        _flat(words),
    )
    return LabelledRows(targets_of(known, "single"), facts, _counted(reasons))


def _flat(words: Sequence[Sequence[str]]) -> list[str]:
    """All words in turn; equal ones are one object, as most of a corpus are the same few."""
    known: dict[str, str] = {}
    return [known.setdefault(word, word) for word in chain.from_iterable(words)]


def _read(parts: AnnotatedParts, settings: FitSettings, head: FitHead, source: FeatureSource) -> _Rows:
    options = settings.input
    labels = _values(parts, head.label, "label")
    errors = parts.column(ERROR).to_pylist()
    reasons = [
        f"with an error ({kind_of(error)})" if error is not None else NO_LABEL if _is_null(label) else None
        for error, label in zip(errors, labels, strict=True)
    ]
    if options.group is not None:
        groups = _values(parts, options.group, "input.group")
        # A row without a group is one of its own.
        groups = [("row", row) if group is None else group for row, group in enumerate(groups)]
    else:
        groups = _text_groups(parts, source)
    languages = None
    if options.language is not None:
        languages = ["" if v is None else str(v) for v in _values(parts, options.language, "input.language")]
    given = None
    if options.split is not None:
        given = given_parts(_values(parts, options.split, "input.split"), groups, settings.seed)
    return _Rows(labels, groups, languages, given, reasons)


def _text_groups(parts: AnnotatedParts, source: FeatureSource) -> list[Any]:
    """Equal texts, but for case and spaces, are a group; rows where the texts were not carried are alone."""
    present = [column for column in source.columns if column in parts.schema.names]
    if not present:
        return list(range(parts.num_rows))
    pieces = zip(*(parts.pieces([column]) for column in present), strict=True)
    rows = chain.from_iterable(zip(*(column.to_pylist() for column in of_part), strict=True) for of_part in pieces)
    return [_text_digest(values) for values in rows]


def _text_digest(values: Sequence[Any]) -> int:
    """A number for the texts of a row, so that they need not be held."""
    texts = (" ".join(map(str, value)) if isinstance(value, list) else str(value) for value in values)
    normal = "\n".join(" ".join(text.casefold().split()) for text in texts)
    digest = hashlib.blake2b(normal.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _is_null(label: Any) -> bool:
    """Whether it says nothing: null, not a finite number, or a list that holds null."""
    if isinstance(label, list):
        return None in label
    return label is None or (isinstance(label, float) and not math.isfinite(label))


def _counted(reasons: Sequence[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(reason for reason in reasons if reason is not None).items()))


def _values(parts: AnnotatedParts, column: str, field: str) -> list[Any]:
    _type(parts, column, field)
    return parts.column(column).to_pylist()


def _type(parts: AnnotatedParts, column: str, field: str) -> Any:
    if column not in parts.schema.names:
        raise InputError(
            f"{field}: found no column {column!r} in {parts.folder}, expected it among its columns "
            f"{', '.join(map(repr, parts.schema.names))}; correct the name, or carry it to that output"
        )
    return parts.schema.field(column).type
