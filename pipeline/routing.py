"""Row -> heads, and which heads are served by one and the same sequence. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.head_config import MaskedLMLossHead
from pipeline.heads import Head, sources_of


@dataclass(frozen=True)
class Stream:
    """Sequences that are made in one way: each passes the trunk once for all heads of its stream.

    Attributes:
        trunk: directory of the trunk.
        source: index of the source among `sources_of(heads)`.
        heads: indices of the heads that read these sequences.
        masking: how tokens are masked, for a stream of a masked language model head.
    """

    trunk: str
    source: int
    heads: tuple[int, ...]
    masking: MaskedLMLossHead | None = None


def streams_of(heads: Sequence[Head]) -> list[Stream]:
    """Heads with equal trunk, source and masking share a stream."""
    sources = sources_of(heads)
    members: dict[tuple[str, int, tuple[float, str, int] | None], list[int]] = {}
    maskings: dict[tuple[float, str, int] | None, MaskedLMLossHead | None] = {None: None}
    for i, head in enumerate(heads):
        options, key = head.options, None
        if isinstance(options, MaskedLMLossHead):
            key = (options.mask_probability, options.strategy, options.seed)
            maskings[key] = options
        members.setdefault((head.trunk, sources.index(head.source), key), []).append(i)
    return [
        Stream(trunk, source, tuple(indices), maskings[key]) for (trunk, source, key), indices in members.items()
    ]


@dataclass(frozen=True)
class Routes:
    """Attributes:
    wanted: bool `[rows, heads]`, which heads each row asks for.
    errors: by row, what is wrong with its route.
    """

    wanted: NDArray[np.bool_]
    errors: dict[int, str]


def route_rows(route: pa.ChunkedArray | None, head_names: Sequence[str], num_rows: int) -> Routes:
    """Read a route column (names or lists of names); without one, and for a null, a row gets all heads."""
    wanted = np.ones((num_rows, len(head_names)), dtype=bool)
    errors: dict[int, str] = {}
    if route is None:
        return Routes(wanted, errors)
    index = {name: i for i, name in enumerate(head_names)}
    for row, names in enumerate(route.to_pylist()):
        if names is None:
            continue
        asked = [names] if isinstance(names, str) else names
        unknown = [name for name in asked if name not in index]
        wanted[row] = False
        if unknown:
            errors[row] = (
                f"route: found {', '.join(map(repr, unknown))}, expected names among {', '.join(head_names)}"
            )
        else:
            wanted[row, [index[name] for name in asked]] = True
    return Routes(wanted, errors)
