"""Which rows are fitted on, chosen by, calibrated on and tested on."""

import hashlib
from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from jobs.fit.feature_blocks import RowNumbers
from jobs.fit.fitted_head import Floats
from jobs.fit.labels.targets import RowFacts, Targets
from pipeline.errors import ConfigError

Part = Literal["fit", "choose", "calibrate", "test"]
PARTS: tuple[Part, ...] = ("fit", "choose", "calibrate", "test")
_ENDS = np.array([0.7, 0.8, 0.9])


def split_rows(targets: Targets, facts: RowFacts, seed: int) -> dict[Part, RowNumbers]:
    """The rows with a known label by part, ascending: those given in `facts.parts`, or 70, 10, 10 and 10 %.

    Whole groups go to a part, by a hash of their name: the same in whatever order the rows come. Among groups of
    the same languages and label (the rarest that they hold; a fifth of the values for regression), the parts have
    their shares to within one group.
    """
    known = np.flatnonzero(targets.is_known)
    if facts.parts is not None:
        given = np.array(facts.parts, dtype=object)
        return {part: known[given[known] == part] for part in PARTS}
    groups = [facts.groups[row] for row in known.tolist()]
    names, codes = numbered(groups)
    strata = _strata(targets.of(known), facts, known, codes, len(names))
    ranks = np.array([hashed(name, seed) for name in names])
    part_of_group = np.empty(len(names), dtype=np.int64)
    for stratum, members in strata.items():
        ordered = np.array(members)[np.argsort(ranks[members], kind="stable")]
        places = (np.arange(len(ordered)) + hashed(stratum, seed)) / len(ordered)
        part_of_group[ordered] = np.searchsorted(_ENDS, places, side="right")
    return {part: known[part_of_group[codes] == number] for number, part in enumerate(PARTS)}


def check_parts(targets: Targets, parts: dict[Part, RowNumbers], min_rows: int) -> None:
    """Refuse parts that are too small to say anything about.

    Raises:
        ConfigError: a part has under `min_rows` rows, or under so many rows of a label.
    """
    for part, rows in parts.items():
        if len(rows) < max(min_rows, 1):
            raise ConfigError(
                f"the part {part!r} has {len(rows)} rows with a label, expected {max(min_rows, 1)} at least; give "
                "more rows, or a split column that has all of fit, choose, calibrate and test, or lower min_rows"
            )
        for name, count in label_counts(targets.of(rows)).items():
            if count < min_rows:
                raise ConfigError(
                    f"label {name!r} has {count} rows in the part {part!r}, expected {min_rows} at least; give "
                    "more rows of it, set the label to null, or lower min_rows"
                )


def label_counts(targets: Targets) -> dict[str, int]:
    """Rows of each label; nothing for regression."""
    if targets.problem == "regression":
        return {}
    if targets.problem == "single":
        counts = np.bincount(targets.values, minlength=len(targets.names))
    else:
        counts = (targets.values == 1).sum(axis=0)
    return dict(zip(targets.names, counts.tolist(), strict=True))


def hashed(name: Hashable, seed: int) -> float:
    """A number from 0 to 1, without 1, that a name and a seed give in every process."""
    digest = hashlib.blake2b(f"{seed} {name!r}".encode("utf-8", "surrogatepass"), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48


def some_groups(groups: Sequence[Hashable], share: float, seed: int) -> NDArray[np.int64]:
    """Places of the rows of a share of the groups, ascending: those whose names hash lowest, one at least."""
    names, codes = numbered(groups)
    ranks = np.argsort(np.argsort([hashed(name, seed) for name in names], kind="stable"))
    return np.flatnonzero(ranks[codes] < np.ceil(share * len(names)))


def numbered(groups: Sequence[Hashable]) -> tuple[list[Hashable], NDArray[np.int64]]:
    """The groups in order of their first row, and each row's place among them."""
    places: dict[Hashable, int] = {}
    codes = np.array([places.setdefault(group, len(places)) for group in groups], dtype=np.int64)
    return list(places), codes


def _strata(
    targets: Targets, facts: RowFacts, known: RowNumbers, codes: NDArray[np.int64], num_groups: int
) -> dict[Hashable, list[int]]:
    """The groups that are alike, by what they share."""
    rarest = np.full(num_groups, np.iinfo(np.int64).max)
    np.minimum.at(rarest, codes, _label_order(targets))
    languages: list[set[str]] = [set() for _ in range(num_groups)]
    if facts.languages is not None:
        for row, code in zip(known, codes, strict=True):
            languages[code].add(facts.languages[row])
    strata: dict[Hashable, list[int]] = {}
    for group in range(num_groups):
        strata.setdefault((int(rarest[group]), *sorted(languages[group])), []).append(group)
    return strata


def _label_order(targets: Targets) -> NDArray[np.int64]:
    """A number for each row's label, less for rarer ones: `[N]`."""
    if targets.problem == "regression":
        edges: Floats = np.quantile(targets.values, [0.2, 0.4, 0.6, 0.8])
        return np.searchsorted(edges, targets.values, side="left").astype(np.int64)
    counts = np.array(list(label_counts(targets).values()))
    order = np.empty(len(counts), dtype=np.int64)
    order[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    if targets.problem == "single":
        return order[targets.values]
    return np.where(targets.values == 1, order, len(counts)).min(axis=1)
