"""From settings to heads: features, the layers worth keeping, and for each label column a head and its report."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from jobs.fit.annotated_parts import AnnotatedParts
from jobs.fit.feature_parts import FeatureParts, scales_of
from jobs.fit.feature_runs import FeatureRuns, Runner, Scales, kept_features, probe_features
from jobs.fit.feature_source import FeatureSource, source_of
from jobs.fit.fit_page import write_report
from jobs.fit.fit_result import FitResult
from jobs.fit.labelled_rows import LabelledRows, labelled_rows
from jobs.fit.layer_probe import LayerProbe, probe_layers
from jobs.fit.options import FitOptions
from jobs.fit.saved_head import save_head
from jobs.fit.search import fit_heads
from jobs.fit.settings import FitHead, FitSettings
from jobs.fit.storage_rounding import largest_change
from model import XLMRobertaXLConfig
from pipeline.errors import ConfigError
from pipeline.monitoring.messages import Messages


@dataclass(frozen=True)
class HeadFeatures:
    """The features of a head, and the probe that chose their layers.

    `exact` are those of the probe in fp32, where `features` are rounded.
    """

    parts: AnnotatedParts
    features: FeatureParts
    probe: LayerProbe | None
    exact: FeatureParts | None = None


def fit(settings: FitSettings, command: str, address: str, on_connected: Callable[[], None]) -> int:
    """Fit all heads; returns the exit code. `command` is for the reports.

    Raises PipelineErrors for what is refused or cannot be done.
    """
    messages = Messages()
    folder = Path(settings.output.path)
    found = compute_features(settings, folder, Runner(address, messages, on_connected), messages)
    trunk = XLMRobertaXLConfig.from_pretrained(settings.model.path)
    for name, features in found.items():
        result = _fit_head(settings, name, features, folder, messages)
        save_head(folder / name, result.head, result.names, trunk)
        _tell_rounding(result, features, messages)
        write_report(folder / name, name, result, [("command", command)])
        print(summary(name, result, folder / name))
    return 0


def compute_features(
    settings: FitSettings, folder: Path, runner: Runner, messages: Messages
) -> dict[str, HeadFeatures]:
    """By head, its features: those of the probe if it has all rows."""
    runs = FeatureRuns.plan(settings, folder, messages)
    parts = runs.run_probe(runner)
    probes = {
        source: probe_features(settings, parts, source)
        for source in dict.fromkeys(source_of(settings, head) for head in settings.heads.values())
    }
    looks = {name: _look(settings, name, parts, probes[source_of(settings, head)], messages)
             for name, head in settings.heads.items()}  # fmt: skip
    layers = _layers_of_sources(settings, looks, probes)
    if runs.is_whole:
        return {
            name: HeadFeatures(parts, probes[source].only(layers[source]), looks[name])
            for name, source in _sources(settings).items()
        }
    scales = _scales(settings, layers, probes)
    kept = runs.run_kept(layers, scales, runner)
    return {
        name: HeadFeatures(
            kept,
            kept_features(settings, kept, source, layers[source], scales),
            looks[name],
            exact=probes[source] if scales else None,
        )
        for name, source in _sources(settings).items()
    }


def _look(
    settings: FitSettings, name: str, parts: AnnotatedParts, features: FeatureParts, messages: Messages
) -> LayerProbe | None:
    """Which layers a head is best on; None where the settings say."""
    if settings.features.layers != "auto":
        return None
    head = settings.heads[name]
    rows = labelled_rows(parts, settings, name, source_of(settings, head), features.is_there())
    messages(f"{name}: looking at layers 0 to {features.layers[-1]}")
    options = options_of(settings, head)
    with _named(name):
        found = probe_layers(features, rows.targets, rows.facts, options, settings.features.max_layers)
    messages(f"{name}: kept are layers {', '.join(map(str, found.worth_keeping))}")
    return found


def _layers_of_sources(
    settings: FitSettings,
    looks: Mapping[str, LayerProbe | None],
    probes: Mapping[FeatureSource, FeatureParts],
) -> dict[FeatureSource, tuple[int, ...]]:
    """Those that any head of a source is best on; all that there are where the settings say."""
    found: dict[FeatureSource, set[int]] = {source: set() for source in probes}
    for name, source in _sources(settings).items():
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


def _sources(settings: FitSettings) -> dict[str, FeatureSource]:
    return {name: source_of(settings, head) for name, head in settings.heads.items()}


def _fit_head(
    settings: FitSettings, name: str, found: HeadFeatures, folder: Path, messages: Messages
) -> FitResult:
    head = settings.heads[name]
    features = found.features
    if found.probe is not None:
        features = features.only(tuple(set(features.layers) & set(found.probe.worth_keeping)))
    rows = labelled_rows(found.parts, settings, name, source_of(settings, head), features.is_there())
    _tell_left_out(name, rows, messages)
    options = replace(options_of(settings, head), scratch=folder)
    with _named(name):
        return fit_heads(
            features, rows.targets, rows.facts, options, found.probe, lambda step: messages(f"{name}: {step}")
        )


def options_of(settings: FitSettings, head: FitHead) -> FitOptions:
    """How a head is searched."""
    return FitOptions(
        pooling=source_of(settings, head).pooling,
        class_weights=head.class_weights,
        seed=settings.seed,
        min_rows=head.min_rows,
    )


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Name the head in what is refused."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"heads.{name}: {error}") from None


def _tell_left_out(name: str, rows: LabelledRows, messages: Messages) -> None:
    for reason, count in rows.left_out.items():
        messages(f"{name}: left out are {count:,} rows {reason}")


def _tell_rounding(result: FitResult, found: HeadFeatures, messages: Messages) -> None:
    if found.exact is not None:
        scales = {layer: column.scale for layer, column in found.features.columns.items()}
        change = largest_change(result.head, found.exact, scales)
        messages(f"storing features in float16 moves logits by at most {change:.1e}, on the rows of the probe")


def summary(name: str, result: FitResult, directory: Path) -> str:
    """A head in a line or two, for standard output."""
    figures = ", ".join(
        f"{metric} {figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f}), "
        f"baseline {result.test.baseline[metric]:.4f}"
        for metric, figure in result.test.overall.items()
        if metric in result.test.baseline
    )
    return (
        f"{name}: {result.chosen.name}, fitted on {result.parts['fit']:,} rows; on {result.test.num_rows:,} rows "
        f"of the part test: {figures}; written to {directory}"
    )
