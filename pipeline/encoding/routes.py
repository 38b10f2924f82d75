"""Read from the route column which heads each row asks for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.encoding.row_texts import Problem, route_field
from pipeline.row_errors import NAMES


@dataclass(frozen=True)
class Routes:
    """The heads that each row asks for, bool `[rows, heads]`; and by row, what is wrong with its route."""

    wanted: NDArray[np.bool_]
    errors: dict[int, str]


def route_rows(table: pa.Table, route: str | None, head_names: Sequence[str]) -> Routes:
    """Read a route column of names or lists of names; without one, and for a null, a row gets all heads."""
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
                f"column {route!r} {NAMES} {', '.join(map(repr, unknown))}, expected names among "
                f"{', '.join(head_names)}"
            )
        else:
            wanted[row, [index[name] for name in asked]] = True
    return Routes(wanted, errors)
