"""From features and labels to a head: split, try, choose, calibrate, test."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from jobs.evaluate.results import Measured
from jobs.fit.feature_blocks import Features
from jobs.fit.figures.measures import measure, measures_of
from jobs.fit.figures.near_duplicates import NearDuplicates, near_duplicates
from jobs.fit.figures.part_figures import PartFigures, part_figures
from jobs.fit.fitted_head import FittedHead, Floats
from jobs.fit.labels.splits import check_parts, label_counts, split_rows
from jobs.fit.labels.targets import RowFacts, Targets, row_weights
from jobs.fit.search.candidates import best, layers_text, simplest_within_one_error
from jobs.fit.search.fit_result import FitResult
from jobs.fit.search.layer_probe import LayerProbe
from jobs.fit.search.learning_curve import LearningCurve, learning_curve, nested_subsets
from jobs.fit.search.options import FitOptions
from jobs.fit.search.view_search import (
    SearchData,
    Trained,
    ViewRows,
    finished,
    head_outputs,
    held_outputs,
    hold_view,
    refitted,
    search_hidden_layers,
    search_linear,
)
from jobs.fit.training.held_rows import View, hold_rows
from jobs.fit.training.layer_mix import learn_mix
from jobs.fit.training.linear import sampled_gram
from jobs.fit.training.temperature import fit_temperature

MIN_GROUPS_OF_CURVE = 80
MAX_COMPARED_ROWS = 10_000


@dataclass
class Progress:
    """Says what goes on, and keeps how long each step took."""

    tell: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A step; times of the same name add up."""
        self.tell(name)
        began = perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - began


def fit_heads(
    features: Features,
    targets: Targets,
    facts: RowFacts,
    options: FitOptions,
    probe: LayerProbe | None = None,
    tell: Callable[[str], None] = lambda step: None,
) -> FitResult:
    """Try heads on the layers that are given and keep the simplest that is as good as the best.

    Heads are fitted on the part "fit", compared on "choose" and calibrated on "calibrate"; "test" is looked at
    once, with the head that was chosen. The same arguments give the same head on the same number of threads.

    Args:
        features: of all rows, of the layers to try.
        targets: labels of all rows; those without one are left out.
        facts: groups, languages and given parts of all rows.
        probe: goes into the result.
        tell: is told each step.

    Raises:
        ConfigError: a part has too few rows, or too few of a label.
    """
    progress = Progress(tell)
    parts = split_rows(targets, facts, options.seed)
    check_parts(targets, parts, options.min_rows)
    data = SearchData(features, targets, facts, parts, options)
    tried = _try_all(data, progress)
    kept = simplest_within_one_error(tried)
    with progress.step("the kept head"):
        rows = hold_view(data, kept.view, kept.scaling)
        gram = sampled_gram(rows.fit)
        chosen = finished(data, rows, gram, kept)
    with progress.step("near duplicates"):
        duplicates = _duplicates(data, rows)
    with progress.step("learning curve"):
        curve = _curve(data, rows, gram, chosen)
    del rows
    with progress.step("calibration and test"):
        head = _calibrated(data, chosen.head(data))
        test = _tested(data, head)
    return FitResult(
        head=head,
        names=targets.names,
        mix_weights=() if chosen.view.weights is None else tuple(chosen.view.weights.tolist()),
        metric=data.metric,
        chosen=chosen.candidate,
        candidates=[(chosen if each is kept else each).candidate for each in tried],
        parts={part: len(rows) for part, rows in parts.items()},
        label_rows={part: label_counts(targets.of(rows)) for part, rows in parts.items()},
        duplicates=duplicates,
        test=test,
        curve=curve,
        probe=probe,
        options=options,
        seconds=progress.seconds,
    )


def _try_all(data: SearchData, progress: Progress) -> list[Trained]:
    """Linear heads on each layer and on a mix of them, those with a hidden layer on the best layers and the mix.

    One view is held at a time.
    """
    tried: list[Trained] = []
    for layer in data.features.layers:
        with progress.step(f"linear heads on layer {layer}"):
            tried += search_linear(data, hold_view(data, View((layer,))))
    views = _best_views(tried, data.options.mlp_layers)
    # The maximum of a mix is no mix of maxima, which is all that a trunk could give.
    if data.options.mix and data.options.pooling != "max" and len(data.features.layers) > 1:
        with progress.step("linear heads on a mix of layers"):
            views.append(_learned_mix(data, best(tried).candidate.penalty))
            tried += search_linear(data, hold_view(data, views[-1]))
    if "mlp" in data.options.heads:
        for view in views:
            with progress.step(f"heads with a hidden layer on {layers_text(view.layers)}"):
                tried += search_hidden_layers(data, hold_view(data, view))
    return tried if "linear" in data.options.heads else [each for each in tried if each.candidate.kind == "mlp"]


def _best_views(tried: Sequence[Trained], num_views: int) -> list[View]:
    """The views of the best heads on them."""
    found: dict[tuple[int, ...], Trained] = {}
    for each in tried:
        found[each.view.layers] = best([each, *filter(None, [found.get(each.view.layers)])])
    ranked = sorted(found.values(), key=lambda each: (-each.candidate.metric, each.candidate.loss))
    return [each.view for each in ranked[:num_views]]


def _learned_mix(data: SearchData, penalty: float) -> View:
    targets, options = data.targets.of(data.fit_rows), data.options
    return learn_mix(
        data.features,
        data.fit_rows,
        targets.values,
        row_weights(targets, options.class_weights),
        targets.problem,
        targets.num_outputs,
        penalty,
        options.max_bytes,
        options.scratch,
    )


def _duplicates(data: SearchData, rows: ViewRows) -> dict[str, NearDuplicates]:
    """Near duplicates of fitted rows in the other parts, of at most `MAX_COMPARED_ROWS` of each, evenly spaced."""
    options, found = data.options, {}
    for part in ("choose", "calibrate", "test"):
        numbers = data.parts[part]
        numbers = numbers[:: -(-len(numbers) // MAX_COMPARED_ROWS)]
        held = hold_rows(data.features, rows.view, rows.scaling, numbers, options.max_bytes // 2, options.scratch)
        found[part] = near_duplicates(
            rows.fit.values, data.fit_rows, held.values, numbers, options.duplicate_cosine
        )
    return found


def _curve(data: SearchData, rows: ViewRows, gram: Floats, chosen: Trained) -> LearningCurve | None:
    """The chosen head on ever more rows; None where an eighth of the groups is next to nothing."""
    options = data.options
    groups = [data.facts.groups[row] for row in data.fit_rows]
    if len(set(groups)) < MIN_GROUPS_OF_CURVE:
        return None
    targets = data.targets.of(data.choose_rows)

    def measured(places: NDArray[np.int64]) -> Measured:
        is_all = len(places) == len(data.fit_rows)
        dense = chosen.dense if is_all else refitted(data, rows, gram, chosen, places)
        outputs = held_outputs(rows.choose, dense, options.activation)
        measures = measures_of(outputs, targets, data.facts, data.choose_rows)
        return measure([measures[data.metric]], options.num_resamples, options.seed)[0]

    return learning_curve(nested_subsets(groups, options.seed), measured)


def _calibrated(data: SearchData, head: FittedHead) -> FittedHead:
    rows = data.parts["calibrate"]
    outputs = head_outputs(head, data.features, rows)
    return replace(head, temperature=fit_temperature(outputs, data.targets.of(rows)))


def _tested(data: SearchData, head: FittedHead) -> PartFigures:
    rows, options = data.parts["test"], data.options
    return part_figures(
        head_outputs(head, data.features, rows),
        head.temperature,
        data.targets,
        data.facts,
        rows,
        data.fit_rows,
        options.num_resamples,
        options.seed,
    )
