"""Names of the output's reserved columns and of internal columns between stages, and checks for clashes."""

from collections.abc import Iterable, Mapping

import pyarrow as pa

NUM_TOKENS = "num_tokens"
NUM_WINDOWS = "num_windows"
ERROR = "error"
RESERVED = (NUM_TOKENS, NUM_WINDOWS, ERROR)
"""Columns of every output row; no head or carried column can have these names."""

FRAGMENT = "__fragment"
ROW = "__row"
FAILURE = "__failure"
"""string: the failure of a fragment as JSON, in place of all of its other columns."""
WANTED = "__wanted"
"""fixed_size_list<bool>[heads]: the heads that a row asks for."""
SEQUENCE_PREFIX = "__sequences_"
CONTEXT_PREFIX = "__context_"

RESERVED_FIELDS = (
    pa.field(NUM_TOKENS, pa.int32()),
    pa.field(NUM_WINDOWS, pa.int32()),
    pa.field(ERROR, pa.string()),
)

CASE_IS_FOLDED = "DuckDB, Spark and other readers take such names for one"
"""Why no two names in the output may differ only in case."""


def output_schema(carried: pa.Schema, head_types: Mapping[str, pa.DataType]) -> pa.Schema:
    """The schema of a part: carried columns, reserved columns, then the heads in order."""
    heads = [pa.field(name, type_) for name, type_ in head_types.items()]
    return pa.schema([*carried, *RESERVED_FIELDS, *heads])


def sequence_column(spec: int) -> str:
    """The internal column with the windows of sequence spec number `spec`."""
    return f"{SEQUENCE_PREFIX}{spec}"


def context_column(spec: int) -> str:
    """The internal column with what decoding needs of that spec besides its windows."""
    return f"{CONTEXT_PREFIX}{spec}"


def is_encoded(name: str) -> bool:
    """Whether a column is passed from the encoding stage to the annotating stage only."""
    return name == WANTED or name.startswith((SEQUENCE_PREFIX, CONTEXT_PREFIX))


def is_internal(name: str) -> bool:
    """Whether a column is used between stages only, and not written."""
    return name in (FRAGMENT, ROW, FAILURE) or is_encoded(name)


def reserved_name_problem(name: str) -> str | None:
    """Why no carried column and no head can have this name, or None if they can."""
    if name in RESERVED:
        return f"is one of the columns that every output row has ({', '.join(RESERVED)})"
    if name.lower() in RESERVED:
        return f"differs only in case from {name.lower()!r}, which every output row has; {CASE_IS_FOLDED}"
    if is_internal(name):
        return "is the name of an internal column"
    return None


def equal_but_for_case(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of a name and an earlier one from which it differs only in case."""
    first: dict[str, str] = {}
    pairs = ((first.setdefault(name.lower(), name), name) for name in names)
    return [(earlier, name) for earlier, name in dict.fromkeys(pairs) if earlier != name]
