"""Bring gold columns into the form of prepared examples: names of labels, answers, numbers of choices."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.evaluate.data.reading import Rows
from jobs.evaluate.examples import ROW, SCHEMAS, Kind
from pipeline.arrays.nested_columns import list_offsets
from pipeline.arrays.text_columns import text_values
from pipeline.errors import InputError
from pipeline.storage.printable import shortened

NO_GOLD = -1
_REMEDY = "name the files of this benchmark, or correct the row"


def examples(kind: Kind, num_rows: int, columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    """Prepared examples, numbered from 0; columns of the kind that are not given are null."""
    schema = SCHEMAS[kind]
    given = {ROW: pa.array(range(num_rows), pa.int64()), **columns}
    arrays = [given[f.name].cast(f.type) if f.name in given else pa.nulls(num_rows, f.type) for f in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def by_key(table: pa.Table, keys: pa.Array) -> dict[str, pa.Table]:
    """The examples of each key, which keep their numbers; keys are strings without null."""
    return {key: table.filter(pc.equal(keys, key)) for key in sorted(pc.unique(keys).to_pylist())}


def keys_of(rows: Rows, role: str) -> pa.Array:
    """A column of texts or class labels as keys. Raises InputError if one is null, or not UTF-8."""
    keys = label_names(rows, role, (), {})
    _require(rows, role, _booleans(keys.is_valid()), "is null", "a value in each row")
    return keys


def lists_of(columns: Sequence[pa.Array]) -> pa.Array:
    """One list a row of the values of several columns of text."""
    num_rows = len(columns[0])
    order = np.arange(num_rows * len(columns)).reshape(len(columns), num_rows).T.ravel()
    offsets = pa.array(np.arange(num_rows + 1) * len(columns), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.concat_arrays(columns).take(pa.array(order)))


def label_names(
    rows: Rows, role: str, labels: Sequence[str], aliases: Mapping[str, str], *, has_known_order: bool = True
) -> pa.Array:
    """The names of class labels, string; null for null and class id -1.

    Class ids are named by the files where they can, else by the order of `labels` if it is known. Names are
    accepted in any case and by their aliases; all are if there are no `labels`.

    Raises InputError if a label, or a name in the files, is none of `labels`.
    """
    values = combined(rows.columns[role])
    named, unknown = _named(
        values, _names_by_id(rows, role, values, labels, aliases, has_known_order), labels, aliases
    )
    if unknown is not None:
        raise _unknown_label(rows, role, unknown, labels)
    return named


def word_labels(
    rows: Rows, role: str, words_role: str, labels: Sequence[str], aliases: Mapping[str, str]
) -> pa.Array:
    """The names of the labels of words, list<string>; null where the list, or each label in it, is null or -1.

    Raises InputError if a label is none of `labels`, or they are not as many as the words of the row.
    """
    lists = combined(rows.columns[role])
    items = pc.list_flatten(lists)
    named, unknown = _named(items, _names_by_id(rows, role, items, labels, aliases, True), labels, aliases)
    row_of_item = pc.list_parent_indices(lists).to_numpy()
    if unknown is not None:
        raise _unknown_label(rows, role, int(row_of_item[unknown]), labels)
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    num_named = np.bincount(row_of_item[_booleans(named.is_valid())], minlength=len(lists))
    _require(
        rows, role, (num_named == lengths) | (num_named == 0), "labels only some words", "a label for each word"
    )
    has_gold = _booleans(lists.is_valid()) & ((num_named > 0) | (lengths == 0))
    num_words = pc.list_value_length(combined(rows.columns[words_role]))
    is_equal = _booleans(pc.fill_null(pc.equal(num_words, pc.list_value_length(lists)), True))
    _require(rows, role, is_equal | ~has_gold, "has another number of labels than of words", "one for each word")
    return pa.ListArray.from_arrays(list_offsets(lists), named, mask=pa.array(~has_gold))


def answers(rows: Rows, role: str, *, may_be_none: bool) -> pa.Array:
    """The answers of questions, list<string>. Raises InputError if there are none, unless `may_be_none`."""
    lists = combined(rows.columns[role])
    items = pc.list_flatten(lists)
    if items.null_count:
        is_there = np.ones(len(lists), dtype=bool)
        is_there[pc.list_parent_indices(lists).to_numpy()[_booleans(items.is_null())]] = False
        _require(rows, role, is_there, "has an answer that is null", "text")
    if not may_be_none:
        lengths = pc.fill_null(pc.list_value_length(lists), 1).to_numpy()
        _require(rows, role, lengths > 0, "has no answer", "one or more (SQuAD 2.0, with none, is squad_v2)")
    return lists


def numbers(rows: Rows, role: str) -> pa.Array:
    """Values, float64; null for null and NaN. Raises InputError if one is infinite."""
    values = combined(rows.columns[role])
    found = values.to_numpy(zero_copy_only=False)
    _require(rows, role, ~np.isinf(found), "is infinite", "a number")
    return pa.array(found, mask=np.isnan(found))


def choice_numbers(rows: Rows, role: str, num_choices: NDArray[np.int64] | int) -> pa.Array:
    """The right choices from 0, int32; null for null and -1. Raises InputError if there is no such choice."""
    values = _without_no_gold(combined(rows.columns[role]))
    numbers = pc.fill_null(values, 0).to_numpy()
    is_missing = _booleans(values.is_null())
    _require(rows, role, is_missing | ((numbers >= 0) & (numbers < num_choices)), "names no choice", "its number")
    return values.cast(pa.int32())


def combined(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array."""
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, column.type)


def _names_by_id(
    rows: Rows,
    role: str,
    values: pa.Array,
    labels: Sequence[str],
    aliases: Mapping[str, str],
    has_known_order: bool,
) -> Sequence[str]:
    """The labels by class id; none if the values are names."""
    if not pa.types.is_integer(values.type):
        return ()
    names = rows.class_names.get(role)
    if names is None and not has_known_order:
        raise InputError(
            f"{rows.where(role)}: found class ids without names, expected names, or ids with the names in the "
            f"Parquet metadata, as their order is not known: {shortened(labels)}; export the files with names"
        )
    if names is None or not labels:
        return names or labels
    canonical = _canonical(labels, aliases)
    if any(name.casefold() not in canonical for name in names):
        raise InputError(
            f"{rows.where(role)}: found the class names {shortened(names)}, expected {shortened(labels)}; name "
            "the files of this benchmark"
        )
    return [canonical[name.casefold()] for name in names]


def _canonical(labels: Sequence[str], aliases: Mapping[str, str]) -> dict[str, str]:
    return {**aliases, **{label.casefold(): label for label in labels}}


def _named(
    values: pa.Array, names: Sequence[str], labels: Sequence[str], aliases: Mapping[str, str]
) -> tuple[pa.Array, int | None]:
    """The labels of values, and the place of the first value that has none."""
    is_number = pa.types.is_integer(values.type)
    if is_number:
        values = _without_no_gold(values)
    encoded = values.dictionary_encode()
    distinct = encoded.dictionary
    canonical = _canonical(labels, aliases) if labels else {}
    found = [
        _label_of(value, names, canonical)
        for value in (distinct.to_pylist() if is_number else text_values(pa.chunked_array([distinct])))
    ]
    if None in found:
        return values, pc.index(encoded.indices, found.index(None)).as_py()
    return pa.array(found, pa.string()).take(encoded.indices), None


def _label_of(value: object, names: Sequence[str], canonical: Mapping[str, str]) -> str | None:
    """The label of a class id or name, itself where no labels are known; None if there is none."""
    match value:
        case int() if names:
            return names[value] if 0 <= value < len(names) else None
        case int():
            return str(value)
        case str():
            return canonical.get(value.casefold()) if canonical else value
    return None


def _without_no_gold(values: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(values, NO_GOLD), pa.scalar(None, values.type), values)


def _unknown_label(rows: Rows, role: str, row: int, labels: Sequence[str]) -> InputError:
    return InputError(
        f"{rows.where(role)}: row {row} (from 0) has a label that is none of those known, expected one of "
        f"{shortened(labels, 20)}; {_REMEDY}"
    )


def _require(rows: Rows, role: str, fits: NDArray[np.bool_], found: str, expected: str) -> None:
    """Raise InputError for the first row that does not fit."""
    if not fits.all():
        row = int(np.argmin(fits))
        raise InputError(f"{rows.where(role)}: row {row} (from 0) {found}, expected {expected}; {_REMEDY}")


def _booleans(values: pa.BooleanArray) -> NDArray[np.bool_]:
    return values.to_numpy(zero_copy_only=False)
