"""Padding: pure functions on lengths and lists."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from model.tokenizer.special_tokens import PAD_ID
from model.tokenizer.truncation import Side

PaddingStrategy = Literal["longest", "max_length", "do_not_pad"]

PADDING_STRATEGIES: tuple[PaddingStrategy, ...] = get_args(PaddingStrategy)

# Padding value of each model input; inputs of other names are left alone.
FILL_VALUES: dict[str, Any] = {
    "input_ids": PAD_ID,
    "attention_mask": 0,
    "token_type_ids": 0,
    "special_tokens_mask": 1,
}

T = TypeVar("T")


def padding_strategy(padding: bool | str) -> PaddingStrategy:
    """Parse the argument `padding`; True is "longest".

    Raises ValueError for an unknown name.
    """
    if isinstance(padding, bool):
        return "longest" if padding else "do_not_pad"
    for strategy in PADDING_STRATEGIES:
        if padding == strategy:
            return strategy
    raise ValueError(f"padding: found {padding!r}, expected a boolean or one of {', '.join(PADDING_STRATEGIES)}")


def padded_length(
    lengths: Sequence[int], strategy: PaddingStrategy, max_length: int, pad_to_multiple_of: int | None
) -> int:
    """The length to pad shorter sequences to; 0 for no padding."""
    if strategy == "do_not_pad":
        return 0
    length = max_length if strategy == "max_length" else max(lengths, default=0)
    if pad_to_multiple_of:
        length = -(-length // pad_to_multiple_of) * pad_to_multiple_of
    return length


def pad_list(values: Sequence[T], length: int, fill: T, side: Side) -> list[T]:
    """`values` padded with `fill` on one side to `length`; unchanged if longer."""
    padding = [fill] * (length - len(values))
    return [*values, *padding] if side == "right" else [*padding, *values]


def pad_rows(rows_by_name: Mapping[str, list[Any]], length: int, side: Side) -> dict[str, list[list[Any]]]:
    """Pad model inputs, each a list of rows, to `length`."""
    return {
        name: [pad_list(row, length, FILL_VALUES[name], side) for row in rows] if name in FILL_VALUES else rows
        for name, rows in rows_by_name.items()
    }


def read_rows(
    encoded_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
) -> tuple[dict[str, list[Any]], bool]:
    """Rows by name, as lists, of one tokenizer result or a list of them, and whether it is a batch.

    A single text is returned as one row. Raises ValueError without `input_ids`.
    """
    is_list = not isinstance(encoded_inputs, Mapping)
    rows: dict[str, list[Any]] = {}
    if isinstance(encoded_inputs, Mapping):
        rows = {name: _to_list(values) for name, values in encoded_inputs.items()}
    elif encoded_inputs:
        rows = {name: [_to_list(row[name]) for row in encoded_inputs] for name in encoded_inputs[0]}
    if "input_ids" not in rows:
        raise ValueError(f"pad: expected input_ids among the inputs, found {sorted(rows)}")
    is_batch = is_list or any(isinstance(row, list) for row in rows["input_ids"][:1])
    if not is_batch:
        rows = {name: [row] for name, row in rows.items()}
    return rows, is_batch


def tensor_type_of(encoded_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Literal["pt", "np"] | None:
    """The kind of the ids: tensors, arrays, or lists (None)."""
    first: Any = encoded_inputs if isinstance(encoded_inputs, Mapping) else next(iter(encoded_inputs), {})
    ids = first.get("input_ids")
    while isinstance(ids, list | tuple) and ids:
        ids = ids[0]
    if isinstance(ids, np.ndarray):
        return "np"
    return "pt" if hasattr(ids, "tolist") and not isinstance(ids, np.generic) else None


def _to_list(values: Any) -> Any:
    """Convert arrays and tensors, also within lists, to lists."""
    if isinstance(values, list | tuple):
        return [_to_list(value) for value in values]
    return values.tolist() if hasattr(values, "tolist") else values
