"""Clashes between names of output columns: equal names, and names that differ only in case."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa

from pipeline.columns import CASE_IS_FOLDED, equal_but_for_case, reserved_name_problem

_REMEDY = "list the columns to carry, without it, in input.columns"


def column_name_problems(file: str, carried: Sequence[str], heads: Iterable[str]) -> Iterator[str]:
    """Carried columns of a file that clash with reserved names, heads or one another."""
    heads = list(heads)
    for name in carried:
        reserved = reserved_name_problem(name)
        if reserved is not None:
            yield f"input.columns: {file}: column {name!r} {reserved}; {_REMEDY}"
        elif name in heads:
            yield f"heads.{name}: {file}: column {name!r} has the name of a head; rename it or {_REMEDY}"
    for earlier, name in equal_but_for_case([*carried, *heads]):
        if name in heads:
            yield (
                f"heads.{name}: {file}: column {earlier!r} has the name of a head but for its case; "
                f"{CASE_IS_FOLDED}; rename the head, or {_REMEDY}"
            )
        else:
            yield (
                f"input.columns: {file}: columns {earlier!r} and {name!r} differ only in case; {CASE_IS_FOLDED}; "
                "list the columns to carry, with one of them, in input.columns"
            )


def key_name_problems(
    partitions: Iterable[Mapping[str, str | None]], carried: Sequence[str], heads: Iterable[str]
) -> Iterator[str]:
    """Hive partition columns, which the output has too, that clash with columns or one another.

    A carried column of the same name does not clash: it is known to have the values of the folders.
    """
    heads = list(heads)
    keys = dict.fromkeys(key for partition in partitions for key in partition)
    remedy = "rename the folders, or set input.hive = false"
    for key in keys:
        if key in carried:
            continue
        if key in heads:
            yield (
                f"heads.{key}: readers of the output would take the folders {key}=... for its column; rename the "
                "head, or set input.hive = false"
            )
        elif (reserved := reserved_name_problem(key)) is not None:
            yield f"input.hive: the key of the folders {key}=... {reserved}; {remedy}"
    for earlier, name in equal_but_for_case([*carried, *heads, *keys]):
        if name in keys and name not in carried:
            what = f"the folders {earlier}=..." if earlier in keys else f"the column {earlier!r}"
            yield (
                f"input.hive: the key of the folders {name}=... differs only in case from {what}; "
                f"{CASE_IS_FOLDED}; {remedy}"
            )


def field_name_problems(file: str, path: str, type_: pa.DataType) -> Iterator[str]:
    """Sibling fields within a carried column, at any depth, that differ only in case."""
    if isinstance(type_, pa.BaseExtensionType):
        type_ = type_.storage_type
    fields = [type_.field(index) for index in range(type_.num_fields)]
    if pa.types.is_struct(type_):
        for earlier, name in equal_but_for_case(field.name for field in fields):
            yield (
                f"input.columns: {file}: fields {earlier!r} and {name!r} of column {path!r} differ only in case; "
                f"{CASE_IS_FOLDED}; list the columns to carry, in place of this one some of its fields by their "
                "paths, in input.columns"
            )
    for field in fields:
        inner = f"{path}.{field.name}" if pa.types.is_struct(type_) else path
        yield from field_name_problems(file, inner, field.type)
