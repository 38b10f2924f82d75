"""A look at all layers, on few rows: which of them are worth keeping features of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jobs.fit.feature_blocks import Features, RowNumbers
from jobs.fit.labels.splits import Part, check_parts, some_groups, split_rows
from jobs.fit.labels.targets import RowFacts, Targets
from jobs.fit.search.candidates import Candidate, best
from jobs.fit.search.options import FitOptions
from jobs.fit.search.view_search import SearchData, hold_view, search_linear
from jobs.fit.training.held_rows import View

MAX_ROWS = 20_000
"""Rows that a probe needs at most."""
_PENALTIES = (1e-3, 1e-1)
_SHARES: dict[Part, float] = {"fit": 0.7, "choose": 0.3}


@dataclass(frozen=True)
class LayerProbe:
    """The best linear head of each layer, and the layers that are worth keeping, ascending.

    `num_rows` are those that heads were fitted on or compared by.
    """

    num_rows: int
    metric: str
    layers: Sequence[Candidate]
    worth_keeping: tuple[int, ...]


def probe_layers(
    features: Features, targets: Targets, facts: RowFacts, options: FitOptions, max_layers: int = 4
) -> LayerProbe:
    """Fit a linear head on each layer.

    Args:
        features: of all layers. Of more than `MAX_ROWS` rows, such as words, some whole groups are taken.
        targets, facts: of these rows.
        max_layers: to keep.

    Raises:
        ConfigError: a part has no rows.
    """
    options = replace(options, penalties=_PENALTIES, max_extensions=1)
    parts = split_rows(targets, facts, options.seed)
    check_parts(targets, parts, min_rows=0)
    parts = {
        part: _limited(parts[part], facts, round(share * MAX_ROWS), options.seed)
        for part, share in _SHARES.items()
    }
    data = SearchData(features, targets, facts, parts, options)
    found = [best(search_linear(data, hold_view(data, View((n,))))).candidate for n in features.layers]
    return LayerProbe(
        len(data.fit_rows) + len(data.choose_rows), data.metric, found, worth_keeping(found, max_layers)
    )


def _limited(rows: RowNumbers, facts: RowFacts, max_rows: int, seed: int) -> RowNumbers:
    """All rows, or those of as many groups as give about `max_rows`."""
    if len(rows) <= max_rows:
        return rows
    return rows[some_groups([facts.groups[row] for row in rows.tolist()], max_rows / len(rows), seed)]


def worth_keeping(layers: Sequence[Candidate], max_layers: int) -> tuple[int, ...]:
    """The best layer, and further ones by their metric that are no neighbours of those taken before, ascending.

    Neighbours are nearly the same: a mix gains nothing from both.
    """
    kept: list[int] = []
    for candidate in sorted(layers, key=lambda each: (-each.metric, each.loss)):
        layer = candidate.layers[0]
        if len(kept) < max_layers and all(abs(layer - other) > 1 for other in kept):
            kept.append(layer)
    return tuple(sorted(kept))
