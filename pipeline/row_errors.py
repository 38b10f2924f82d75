"""What can be wrong with a row: a closed list of kinds, and the phrases of the `error` column that tell them.

Whoever writes an error takes its phrase from here, so that `kind_of` knows every error there is.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum


class ErrorKind(StrEnum):
    """A kind of error, by the name under which it is counted."""

    NO_TEXT = "no_text"
    """Null, empty, blank or invisible text, or an empty list."""
    NOT_UTF8 = "not_utf8"
    WRONG_TYPE = "wrong_type"
    """A column that has another type in this file."""
    UNKNOWN_HEAD = "unknown_head"
    """A route that names no head of the job."""
    NO_MASK = "no_mask"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"
    """The row ends each process that works on it."""
    NOT_FINITE = "not_finite"
    OTHER = "other"
    """An error that this version does not know, as in an output of a later one."""


LASTING = (
    ErrorKind.NO_TEXT,
    ErrorKind.NOT_UTF8,
    ErrorKind.WRONG_TYPE,
    ErrorKind.UNKNOWN_HEAD,
    ErrorKind.NO_MASK,
)
"""Kinds that the input causes: the same rows have them again, however often they are processed."""

# What is said of a column or candidate; a value in a list is followed by "at index N".
NULL, EMPTY, BLANK, EMPTY_LIST = "is null", "is empty", "is blank", "is an empty list"
INVISIBLE = "has nothing but invisible characters"
NOT_UTF8 = "is not UTF-8"
HAS_TYPE = "has type"
NO_MASK = "has no <mask>"
NAMES, HOLDS_NAME = "names", "holds a name that"
# What is said of a sequence, after the names of the heads that lack its result.
NOT_IN_MEMORY = "does not fit in the memory of a rank"
MODEL_DIED = "the model process died on this row"
TOKENIZER_DIED = "the process that tokenized this row died of it"
NOT_FINITE = "is not finite"

_OF_COLUMNS = {
    NULL: ErrorKind.NO_TEXT,
    EMPTY: ErrorKind.NO_TEXT,
    BLANK: ErrorKind.NO_TEXT,
    EMPTY_LIST: ErrorKind.NO_TEXT,
    INVISIBLE: ErrorKind.NO_TEXT,
    NOT_UTF8: ErrorKind.NOT_UTF8,
    HAS_TYPE: ErrorKind.WRONG_TYPE,
    NO_MASK: ErrorKind.NO_MASK,
    NAMES: ErrorKind.UNKNOWN_HEAD,
    HOLDS_NAME: ErrorKind.UNKNOWN_HEAD,
}
_OF_RESULTS = {
    NOT_IN_MEMORY: ErrorKind.OUT_OF_MEMORY,
    MODEL_DIED: ErrorKind.CRASHED,
    TOKENIZER_DIED: ErrorKind.CRASHED,
    NOT_FINITE: ErrorKind.NOT_FINITE,
}
# Names are shown as by `repr`, so they end at the first quote of their kind that is not escaped.
_SUBJECT = re.compile(r"""(?:column (?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?:, item \d+,)?|candidate \d+) """)


def kind_of(error: str) -> ErrorKind:
    """The kind of a value of the `error` column; where it names several problems, that of the first."""
    subject = _SUBJECT.match(error)
    if subject is not None:
        said = (kind for phrase, kind in _OF_COLUMNS.items() if error.startswith(phrase, subject.end()))
        return next(said, ErrorKind.OTHER)
    places = {error.find(phrase): kind for phrase, kind in _OF_RESULTS.items() if phrase in error}
    return places[min(places)] if places else ErrorKind.OTHER


def num_that_may_change(num_errors: int, by_kind: Mapping[ErrorKind, int] | None) -> int:
    """How many rows with an error may be without if they are processed again; all where kinds are not known."""
    return num_errors if by_kind is None else num_errors - sum(by_kind.get(kind, 0) for kind in LASTING)


def count_kinds(errors: Iterable[tuple[str, int]]) -> dict[ErrorKind, int]:
    """Numbers of rows by kind, in the order of the list, from different errors and their numbers of rows."""
    counts: dict[ErrorKind, int] = {}
    for error, num_rows in errors:
        kind = kind_of(error)
        counts[kind] = counts.get(kind, 0) + num_rows
    return in_order(counts)


def in_order(counts: Mapping[ErrorKind, int]) -> dict[ErrorKind, int]:
    """Counts in the order of the list of kinds, without those of zero."""
    return {kind: counts[kind] for kind in ErrorKind if counts.get(kind)}
