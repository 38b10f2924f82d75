"""Tagging schemes of token classifiers: BIO, BIOES, BILOU, BMES, or plain type names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

OUTSIDE = -1
OUTSIDE_NAMES = frozenset({"o", "out", "outside", "none", "null", "pad", "[pad]", "<pad>"})
"""Lower-case names of labels that mark no entity."""

_PREFIXED = re.compile(r"([BIMELSUW])[-_](.+)", re.DOTALL)
_BARE = frozenset("BIMELSUW")


@dataclass(frozen=True)
class LabelScheme:
    """The entity type of each label, and where entities begin and end.

    Attributes:
        types: names of the types, without prefix; "" if the labels have none (`B`, `I`, `O`).
        type_of: int32 `[num_labels]`, index into `types`, or -1 for a label outside of entities.
        begins: bool `[num_labels]`, B: an entity begins here, even after one of the same type.
        is_first: bool `[num_labels]`, S, U and W: the word is an entity of its own.
        is_last: bool `[num_labels]`, E, L, S, U and W: the word is the last of its entity.
    """

    types: tuple[str, ...]
    type_of: NDArray[np.int32]
    begins: NDArray[np.bool_]
    is_first: NDArray[np.bool_]
    is_last: NDArray[np.bool_]

    @property
    def outside_label(self) -> int | None:
        """The first label outside of entities, if there is one."""
        outside = np.flatnonzero(self.type_of == OUTSIDE)
        return int(outside[0]) if len(outside) else None


def read_labels(labels: Sequence[str]) -> LabelScheme:
    """The scheme of a label set.

    Prefixes (`B-PER` or `B_PER`) count only if some label has the prefix B or I: else `S-Bahn` and `E-mail` are
    plain names. Adjacent equal plain labels are one entity. `B` and `I` alone are prefixes of an unnamed type.
    """
    outside = [label.strip().lower() in OUTSIDE_NAMES for label in labels]
    inside = [label for label, is_outside in zip(labels, outside, strict=True) if not is_outside]
    is_bare = {"B", "I"} <= set(inside) <= _BARE
    is_prefixed = any(match[1] in "BI" for match in map(_PREFIXED.fullmatch, inside) if match)

    prefixes, names = [], []
    for label in labels:
        match = _PREFIXED.fullmatch(label) if is_prefixed else None
        prefixes.append(match[1] if match else label if is_bare else "")
        names.append(match[2] if match else "" if is_bare else label)
    types = {name: None for name, is_outside in zip(names, outside, strict=True) if not is_outside}
    index = {name: i for i, name in enumerate(types)}
    type_of = [OUTSIDE if is_outside else index[name] for name, is_outside in zip(names, outside, strict=True)]
    return LabelScheme(
        tuple(types),
        np.array(type_of, dtype=np.int32),
        begins=np.isin(prefixes, ["B"]),
        is_first=np.isin(prefixes, ["S", "U", "W"]),
        is_last=np.isin(prefixes, ["E", "L", "S", "U", "W"]),
    )
