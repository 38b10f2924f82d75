"""The features of each head: those that exist, or of the layers that a probe finds worth keeping."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jobs.fit.features.annotated_parts import AnnotatedParts
from jobs.fit.features.existing_vectors import existing_features
from jobs.fit.features.feature_parts import FeatureParts, scales_of
from jobs.fit.features.feature_runs import FeatureRuns, Runner, Scales, kept_features, probe_features
from jobs.fit.features.feature_source import FeatureSource, source_of, sources_of
from jobs.fit.features.labelled_rows import labelled_rows
from jobs.fit.search.layer_probe import LayerProbe, probe_layers
from jobs.fit.search.options import FitOptions
from jobs.fit.settings import FitHead, FitSettings
from model import XLMRobertaXLConfig
from pipeline.errors import ConfigError


@dataclass(frozen=True)
class HeadFeatures:
    """The features of a head.

    Attributes:
        parts: of the output with features and labels.
        features: of the layers that are tried.
        source: what they were made of.
        probe: that chose the layers; None where the settings say.
        exact: the same rows as in the probe in fp32, where `features` are stored in float16.
    """

    parts: AnnotatedParts
    features: FeatureParts
    source: FeatureSource
    probe: LayerProbe | None = None
    exact: FeatureParts | None = None


def features_of_heads(
    settings: FitSettings, folder: Path, runner: Runner, trunk: XLMRobertaXLConfig
) -> dict[str, HeadFeatures]:
    """The features of each head by name. Raises PipelineErrors for what is refused or cannot be computed."""
    if settings.input.features is not None:
        parts, features, source = existing_features(settings, trunk)
        for name, head in settings.heads.items():
            task = "text-classification" if source.words is None else "token-classification"
            if head.task != task:
                raise ConfigError(
                    f"heads.{name}.task: found {head.task!r}, expected one for the vectors "
                    f"{settings.input.column!r}, which are of {'texts' if source.words is None else 'words'}; "
                    f'write task = "{task}", or name other vectors as input.column'
                )
        return {name: HeadFeatures(parts, features, source) for name in settings.heads}
    return _computed_features(settings, FeatureRuns.plan(settings, folder, runner.messages), runner)


def _computed_features(settings: FitSettings, runs: FeatureRuns, runner: Runner) -> dict[str, HeadFeatures]:
    """Those of the probe if it has all rows."""
    parts = runs.run_probe(runner)
    probes = {source: probe_features(settings, parts, source) for source in sources_of(settings)}
    sources = {name: source_of(settings, head) for name, head in settings.heads.items()}
    looks = {name: _look(settings, name, parts, probes[source], runner) for name, source in sources.items()}
    if runs.is_whole:
        return {
            name: HeadFeatures(parts, _of_look(probes[source], looks[name]), source, looks[name])
            for name, source in sources.items()
        }
    layers = _layers_of_sources(sources, looks, probes)
    scales = _scales(settings, layers, probes)
    kept = runs.run_kept(layers, scales, runner)
    return {
        name: HeadFeatures(
            kept,
            _of_look(kept_features(settings, kept, source, layers[source], scales), looks[name]),
            source,
            looks[name],
            exact=probes[source] if scales else None,
        )
        for name, source in sources.items()
    }


def _look(
    settings: FitSettings, name: str, parts: AnnotatedParts, features: FeatureParts, runner: Runner
) -> LayerProbe | None:
    """Which layers a head is best on; None where the settings say."""
    if settings.features.layers != "auto":
        return None
    head = settings.heads[name]
    source = source_of(settings, head)
    rows = labelled_rows(parts, settings, name, source, features.is_there())
    runner.messages(f"{name}: looking at layers 0 to {features.layers[-1]}")
    with naming(name):
        options = options_of(settings, head, source, features)
        found = probe_layers(features, rows.targets, rows.facts, options, settings.features.max_layers)
    runner.messages(f"{name}: worth keeping are layers {', '.join(map(str, found.worth_keeping))}")
    return found


def _of_look(features: FeatureParts, look: LayerProbe | None) -> FeatureParts:
    return features if look is None else features.only(look.worth_keeping)


def _layers_of_sources(
    sources: Mapping[str, FeatureSource],
    looks: Mapping[str, LayerProbe | None],
    probes: Mapping[FeatureSource, FeatureParts],
) -> dict[FeatureSource, tuple[int, ...]]:
    """Those that any head of a source is best on; all that there are where the settings say."""
    found: dict[FeatureSource, set[int]] = {source: set() for source in probes}
    for name, source in sources.items():
        look = looks[name]
        found[source].update(probes[source].layers if look is None else look.worth_keeping)
    return {source: tuple(sorted(layers)) for source, layers in found.items()}


def _scales(
    settings: FitSettings,
    layers: Mapping[FeatureSource, tuple[int, ...]],
    probes: Mapping[FeatureSource, FeatureParts],
) -> Scales:
    if settings.features.dtype == "float32":
        return {}
    rows = {source: np.flatnonzero(features.is_there()) for source, features in probes.items()}
    return {
        (source, layer): scales_of(probes[source], layer, rows[source])
        for source, some in layers.items()
        for layer in some
    }


def options_of(
    settings: FitSettings,
    head: FitHead,
    source: FeatureSource,
    features: FeatureParts,
    scratch: Path | None = None,
) -> FitOptions:
    """How a head is searched."""
    return FitOptions(
        pooling=source.pooling,
        # As the classifier of Transformers has it, which can hold such a head of `<s>`.
        hidden_size=min(FitOptions.hidden_size, features.size),
        activation="tanh" if source.pooling == "cls" else "relu",
        class_weights=head.class_weights,
        seed=settings.seed,
        min_rows=head.min_rows,
        scratch=scratch,
    )


@contextmanager
def naming(head: str) -> Iterator[None]:
    """Name the head in what is refused of its labels."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"heads.{head}.label: {error}") from None
