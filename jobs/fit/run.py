"""From settings to heads: features, and for each label column a head and its report."""

import os
from pathlib import Path

from jobs.fit.features.feature_runs import Runner
from jobs.fit.features.labelled_rows import labelled_rows
from jobs.fit.features.storage_rounding import largest_change
from jobs.fit.figures.part_figures import PartFigures
from jobs.fit.fit_page import write_report
from jobs.fit.head_features import HeadFeatures, features_of_heads, naming, options_of
from jobs.fit.saved_head import save_head
from jobs.fit.search.fit_result import FitResult
from jobs.fit.search.layer_probe import LayerProbe
from jobs.fit.search.search import fit_heads
from jobs.fit.settings import FitSettings
from model import XLMRobertaXLConfig
from pipeline.errors import ConfigError
from pipeline.monitoring.messages import Messages


def fit(settings: FitSettings, command: str, address: str) -> int:
    """Fit all heads; returns the exit code. `command` is for the reports.

    Raises PipelineErrors for what is refused or cannot be done.
    """
    messages = Messages()
    folder = Path(settings.output.path)
    _require_folder(folder)
    trunk = _trunk(settings.model.path)
    found = features_of_heads(settings, folder, Runner(address, messages), trunk)
    for name, features in found.items():
        result = _fit_head(settings, name, features, folder, messages)
        save_head(folder / name, result.head, result.names, trunk)
        _tell_rounding(name, result, features, messages)
        write_report(folder / name, name, result, [("command", command)])
        print(summary(name, result, folder / name))
    return 0


def _require_folder(folder: Path) -> None:
    """Raise ConfigError where no folder can be made; nothing is made yet."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        found = "cannot be written to" if nearest.is_dir() else "is no folder"
        raise ConfigError(f"output.path: {nearest} {found}, expected a folder for the heads; choose another")


def _trunk(path: str) -> XLMRobertaXLConfig:
    try:
        return XLMRobertaXLConfig.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"model.path: {error}") from None


def _fit_head(
    settings: FitSettings, name: str, found: HeadFeatures, folder: Path, messages: Messages
) -> FitResult:
    rows = labelled_rows(found.parts, settings, name, found.source, found.features.is_there())
    for reason, count in rows.left_out.items():
        messages(f"{name}: left out are {count:,} rows {reason}")
    options = options_of(settings, settings.heads[name], found.source, found.features, scratch=folder)
    folder.mkdir(parents=True, exist_ok=True)
    with naming(name):
        return fit_heads(
            found.features,
            rows.targets,
            rows.facts,
            options,
            found.probe,
            lambda step: messages(f"{name}: {step}"),
        )


def _tell_rounding(name: str, result: FitResult, found: HeadFeatures, messages: Messages) -> None:
    if found.exact is not None:
        scales = {layer: column.scale for layer, column in found.features.columns.items()}
        change = largest_change(result.head, found.exact, scales)
        messages(
            f"{name}: storing features in float16 moves logits by at most {change:.1e}, on the rows of the probe"
        )


def summary(name: str, result: FitResult, directory: Path) -> str:
    """A head in a few lines, for standard output."""
    figures = [_shown_figure(metric, result.test) for metric in result.test.overall]
    head = (
        f"{name}: {result.chosen.name}, fitted on {result.parts['fit']:,} rows, tested on "
        f"{result.test.num_rows:,}; written to {directory}"
    )
    look = [] if result.probe is None else [_shown_look(result.probe)]
    return "\n".join([head, *figures, *look])


def _shown_figure(metric: str, test: PartFigures) -> str:
    figure = test.overall[metric]
    others = {"without looking": test.baseline, "by a list of the words fitted on": test.word_list}
    shown = [f"{values[metric]:.4f} {name}" for name, values in others.items() if metric in values]
    return ", ".join([f"  {metric} {figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f})", *shown])


def _shown_look(probe: LayerProbe) -> str:
    """What a linear head on each layer is worth, in a line."""
    layers = ", ".join(f"{each.layers[0]}: {each.metric:.4f}" for each in probe.layers)
    return f"  {probe.metric} of a linear head on each layer, on the part choose of the probe: {layers}"
