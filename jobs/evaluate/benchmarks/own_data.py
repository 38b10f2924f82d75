"""Any Parquet files with a gold column as a benchmark of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from jobs.evaluate.data.files import DataFile, DataFiles, files_of_split
from jobs.evaluate.data.prepare import (
    answers,
    by_key,
    choice_numbers,
    combined,
    examples,
    keys_of,
    label_names,
    lists_of,
    numbers,
    word_labels,
)
from jobs.evaluate.data.reading import Column, Rows, Shape, has_column, read_rows, read_schema
from jobs.evaluate.data.subsets import choose_subsets, no_files
from jobs.evaluate.examples import GOLD, WHOLE, BenchmarkTask, Kind, Rules
from pipeline.arrays.column_types import plain_type
from pipeline.arrays.nested_columns import is_list_like
from pipeline.errors import ConfigError, InputError
from pipeline.input.column_checks import require_column

OwnTask = Literal["text-classification", "token-classification", "question-answering", "multiple-choice"]

NO_SPLIT = "all"
"""What the split is called where the names of files do not name any."""
NAME = "own"
_SPLITS = ("test", "validation", "dev", "valid", "val", "train")
_ROLES: Mapping[OwnTask, Mapping[str, Shape]] = {
    "text-classification": {"text": "text", "text_pair": "text"},
    "token-classification": {"words": "texts"},
    "question-answering": {"question": "text", "context": "text", "id": "text"},
    "multiple-choice": {"prompt": "text", "choices": "texts"},
}
_OPTIONAL = {"text_pair", "id"}
_EXPECTED: Mapping[OwnTask, str] = {
    "text-classification": "string or an integer type (classes), a floating-point type (regression) or "
    "list<string> (several labels)",
    "token-classification": "list<string>, or lists of an integer type: a label for each word",
    "question-answering": "struct<text: list<string>>, list<string> or string: the answers",
    "multiple-choice": "an integer type: the number of the right choice, from 0",
}
_METRICS: Mapping[Kind, tuple[str, ...]] = {
    "classification": ("accuracy", "macro_f1", "micro_f1"),
    "multi-label": ("micro_f1", "macro_f1", "average_precision"),
    "regression": ("mae", "pearson", "spearman"),
    "multiple-choice": ("accuracy",),
    "question-answering": ("exact_match", "f1"),
    "words": ("token_accuracy",),
}
_PREFIXES = ("B-", "I-")
_BY = "by"


@dataclass(frozen=True)
class OwnColumns:
    """Where the examples of one's own data are.

    Attributes:
        task: what the head does.
        gold: the column with the right answers.
        columns: by role (text, text_pair; words; prompt, choices; question, context, id), the column, or several
            columns for the choices.
        by: a column whose values, strings or integers, are the subsets.
        fields: by role, `gold` and `by` included, the option that names it, for messages; `--ROLE` unless given.
    """

    task: OwnTask
    gold: str
    columns: Mapping[str, str | Sequence[str]]
    by: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)

    def field_of(self, role: str) -> str:
        """The option that names the column of a role."""
        return self.fields.get(role, f"--{role.replace('_', '-')}")


def own_splits(files: DataFiles) -> tuple[str, ...]:
    """The splits that the names of files name; `NO_SPLIT` if none does."""
    return tuple(sorted({file.split for file in files.files} & set(_SPLITS))) or (NO_SPLIT,)


def own_task(files: DataFiles, own: OwnColumns, split: str) -> BenchmarkTask:
    """The task of one's own files; its kind follows from the type of the gold column.

    The labels of words and the rules for answers follow from the gold of the split. Raises ConfigError if a column
    of the task is not named, InputError if the gold column is absent or of another type.
    """
    _require_roles(own)
    chosen = files_of_own_split(files, split)
    gold, kind = _gold_of(files, chosen[0], own)
    rows = read_rows(files, chosen, {GOLD: gold}) if kind in ("words", "question-answering") else None
    metrics = _METRICS[kind]
    if kind == "words" and rows is not None and _has_entities(rows):
        metrics = ("entity_f1", *metrics)
    has_none = kind == "question-answering" and rows is not None and _has_questions_without_answer(rows)
    return BenchmarkTask(
        name=NAME,
        kind=kind,
        metrics=metrics,
        splits=own_splits,
        read=partial(_read, own, kind),
        rules=("squad-2.0" if has_none else "squad-1.1") if kind == "question-answering" else None,
        default_splits=(*_SPLITS[:2], NO_SPLIT),
    )


def recorded_task(
    kind: Kind, metrics: tuple[str, ...], rules: Rules | None, subsets: tuple[str, ...]
) -> BenchmarkTask:
    """The task of an earlier evaluation, whose examples are prepared, for scoring."""
    return BenchmarkTask(
        name=NAME,
        kind=kind,
        metrics=metrics,
        splits=own_splits,
        read=lambda *_: {},
        rules=rules,
        subsets=subsets,
    )


def _require_roles(own: OwnColumns) -> None:
    roles = _ROLES[own.task]
    for role in own.columns:
        if role not in roles:
            raise ConfigError(
                f"{own.field_of(role)}: found a column, but {own.task} does not read {role}; expected columns for "
                f"{', '.join(roles)}; leave it out, or name another task"
            )
    for role, columns in own.columns.items():
        if role != "choices" and not isinstance(columns, str):
            raise ConfigError(
                f"{own.field_of(role)}: found several columns for {role}, expected one; only choices take several"
            )
    for role in roles:
        if role not in own.columns and role not in _OPTIONAL:
            raise ConfigError(
                f"{own.field_of(role)}: found no column, expected one, as {own.task} reads {role}; name the column"
            )


def files_of_own_split(files: DataFiles, split: str) -> list[DataFile]:
    """The files of a split, all of them if they name none. Raises InputError if there are none."""
    if split != NO_SPLIT:
        chosen = files_of_split(files.files, split)
    elif own_splits(files) == (NO_SPLIT,):
        chosen = list(files.files)
    else:
        chosen = []
    if not chosen:
        raise no_files(files, split, f"{split}.parquet")
    return chosen


def _gold_of(files: DataFiles, file: DataFile, own: OwnColumns) -> tuple[Column, Kind]:
    """The gold column, or the texts in it, and the kind that follows from its type."""
    field_ = own.field_of(GOLD)
    schema = read_schema(files, file)
    try:
        type_ = require_column(schema, own.gold, file.name)
    except InputError as error:
        raise InputError(
            f"{field_}: {error}; expected {_EXPECTED[own.task]}; name the column with the right answers"
        ) from None
    found = _kind_of(own.task, type_, has_text=has_column(schema, f"{own.gold}.text"))
    if found is None:
        raise InputError(
            f"{field_}: {file.name}: column {own.gold!r} has type {type_}, expected {_EXPECTED[own.task]}, for "
            f"{own.task}; name another column or task, or cast it"
        )
    kind, shape, ending = found
    return Column(f"{own.gold}{ending}", shape, field_), kind


def _kind_of(task: OwnTask, type_: pa.DataType, *, has_text: bool) -> tuple[Kind, Shape, str] | None:
    """The kind for a gold column of this type, its shape, and the end of its path; None if it does not fit."""
    plain = plain_type(type_)
    item = plain_type(type_.value_type) if is_list_like(type_) else None
    is_class, are_classes = _is_class(plain), item is not None and _is_class(item)
    match task:
        case "text-classification" if is_class:
            return "classification", "class", ""
        case "text-classification" if are_classes:
            return "multi-label", "classes", ""
        case "text-classification" if pa.types.is_floating(plain):
            return "regression", "number", ""
        case "token-classification" if are_classes:
            return "words", "classes", ""
        case "multiple-choice" if pa.types.is_integer(plain):
            return "multiple-choice", "integer", ""
        case "question-answering" if has_text and not pa.types.is_null(plain):
            return "question-answering", "texts", ".text"
        case "question-answering" if pa.string() in (plain, item):
            return "question-answering", "text" if item is None else "texts", ""
    return None


def _is_class(type_: pa.DataType) -> bool:
    return type_ == pa.string() or pa.types.is_integer(type_)


def _has_entities(rows: Rows) -> bool:
    """Whether all labels of words are O, or begin with B- or I-."""
    labels = pc.unique(pc.list_flatten(word_labels(rows, GOLD, GOLD, (), {}))).to_pylist()
    return any(label != "O" for label in labels) and all(
        label == "O" or label.startswith(_PREFIXES) for label in labels
    )


def _has_questions_without_answer(rows: Rows) -> bool:
    lengths = pc.list_value_length(_answer_lists(rows))
    return bool(pc.any(pc.equal(lengths, 0)).as_py())


def _answer_lists(rows: Rows) -> pa.Array:
    """The answers as lists; a single string is one answer."""
    column = combined(rows.columns[GOLD])
    if is_list_like(column.type):
        return answers(rows, GOLD, may_be_none=True)
    return pa.ListArray.from_arrays(range(len(column) + 1), column, mask=column.is_null())


def _read(
    own: OwnColumns, kind: Kind, files: DataFiles, split: str, wanted: Sequence[str] | None
) -> dict[str, pa.Table]:
    chosen = files_of_own_split(files, split)
    gold, _ = _gold_of(files, chosen[0], own)
    columns = {GOLD: gold}
    num_choices = 0
    for role, path in own.columns.items():
        shape = _ROLES[own.task][role]
        if isinstance(path, str):
            columns[role] = Column(path, shape, own.field_of(role))
        else:
            num_choices = len(path)
            columns |= {f"{role}.{at}": Column(one, "text", own.field_of(role)) for at, one in enumerate(path)}
    if own.by is not None:
        columns[_BY] = Column(own.by, "class", own.field_of(_BY))
    rows = read_rows(files, chosen, columns)
    prepared: dict[str, pa.Array | pa.ChunkedArray] = {role: rows.columns[role] for role in columns}
    if num_choices:
        prepared["choices"] = lists_of([combined(rows.columns[f"choices.{at}"]) for at in range(num_choices)])
    table = examples(kind, rows.num_rows, {**prepared, GOLD: _gold_values(kind, rows, prepared)})
    if own.by is None:
        choose_subsets(NAME, [WHOLE], [WHOLE], wanted, files, split)
        return {WHOLE: table}
    tables = by_key(table, keys_of(rows, _BY))
    return {name: tables[name] for name in choose_subsets(NAME, tables, tables, wanted, files, split)}


def _gold_values(kind: Kind, rows: Rows, prepared: Mapping[str, pa.Array | pa.ChunkedArray]) -> pa.Array:
    match kind:
        case "classification":
            return label_names(rows, GOLD, (), {})
        case "multi-label":
            return word_labels(rows, GOLD, GOLD, (), {})
        case "words":
            return word_labels(rows, GOLD, "words", (), {})
        case "multiple-choice":
            lengths = pc.fill_null(pc.list_value_length(prepared["choices"]), 0)
            return choice_numbers(rows, GOLD, lengths.to_numpy())
        case "question-answering":
            return _answer_lists(rows)
        case "regression":
            return numbers(rows, GOLD)
