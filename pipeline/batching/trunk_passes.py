"""Row -> heads, and which heads are served by one and the same sequence. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.encoding.row_texts import Problem, route_field
from pipeline.heads.resolve import Head, sources_of
from pipeline.tasks.all_tasks import MaskedLMLossHead, TextGenerationHead


@dataclass(frozen=True)
class Masking:
    """How tokens are masked; heads with equal masking share their sequences."""

    probability: float
    strategy: str
    seed: int


@dataclass(frozen=True)
class Stream:
    """Sequences that are made in one way: each passes the trunk once for all heads of its stream.

    Attributes:
        trunk: directory of the trunk.
        source: index of the source among `sources_of(heads)`.
        heads: indices of the heads that read these sequences.
        masking: of a masked language model loss.
        generates: sequences are prompts that a head goes on from, token by token.
        seed: of the tokens that are drawn there.
    """

    trunk: str
    source: int
    heads: tuple[int, ...]
    masking: Masking | None = None
    generates: bool = False
    seed: int = 0


def streams_of(heads: Sequence[Head]) -> list[Stream]:
    """Heads with equal trunk, source, masking and seed share a stream."""
    sources = sources_of(heads)
    members: dict[Stream, list[int]] = {}
    for i, head in enumerate(heads):
        options, masking = head.options, None
        if isinstance(options, MaskedLMLossHead):
            masking = Masking(options.mask_probability, options.strategy, options.seed)
        generates = isinstance(options, TextGenerationHead)
        seed = options.seed if isinstance(options, TextGenerationHead) else 0
        alike = Stream(head.trunk, sources.index(head.source), (), masking, generates, seed)
        members.setdefault(alike, []).append(i)
    return [replace(alike, heads=tuple(indices)) for alike, indices in members.items()]


@dataclass(frozen=True)
class Routes:
    """Attributes:
    wanted: bool `[rows, heads]`, which heads each row asks for.
    errors: by row, what is wrong with its route.
    """

    wanted: NDArray[np.bool_]
    errors: dict[int, str]


def route_rows(table: pa.Table, route: str | None, head_names: Sequence[str]) -> Routes:
    """Read a route column (names or lists of names); without one, and for a null, a row gets all heads."""
    wanted = np.ones((table.num_rows, len(head_names)), dtype=bool)
    errors: dict[int, str] = {}
    index = {name: i for i, name in enumerate(head_names)}
    for row, asked in enumerate(route_field(table, route) if route else []):
        if asked is None:
            continue
        wanted[row] = False
        if isinstance(asked, Problem):
            errors[row] = str(asked)
        elif unknown := [name for name in asked if name not in index]:
            errors[row] = (
                f"column {route!r} names {', '.join(map(repr, unknown))}, expected names among "
                f"{', '.join(head_names)}"
            )
        else:
            wanted[row, [index[name] for name in asked]] = True
    return Routes(wanted, errors)
