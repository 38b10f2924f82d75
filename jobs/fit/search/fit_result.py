"""What fitting a head found, as plain data, and as `report.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jobs.fit.figures.near_duplicates import NearDuplicates
from jobs.fit.figures.part_figures import PartFigures
from jobs.fit.fitted_head import FittedHead
from jobs.fit.search.candidates import Candidate
from jobs.fit.search.layer_probe import LayerProbe
from jobs.fit.search.learning_curve import LearningCurve
from jobs.fit.search.options import FitOptions


@dataclass(frozen=True)
class FitResult:
    """A head and all that was seen on the way to it.

    Attributes:
        head: the head, with its temperature.
        names: labels in the order of its outputs.
        mix_weights: of the head's layers, free of their scales, adding up to 1; none without a mix.
        metric: what candidates were compared by.
        chosen, candidates: the one that is kept, and all that were tried.
        parts: rows of each part, and of these by label.
        duplicates: by part, its rows that are nearly equal to rows fitted on.
        test: figures on the part "test", which nothing was chosen by.
        curve: None where there are too few groups for one.
        probe: of all layers, where there was one.
        seconds: by step.
    """

    head: FittedHead
    names: tuple[str, ...]
    mix_weights: tuple[float, ...]
    metric: str
    chosen: Candidate
    candidates: Sequence[Candidate]
    parts: Mapping[str, int]
    label_rows: Mapping[str, Mapping[str, int]]
    duplicates: Mapping[str, NearDuplicates]
    test: PartFigures
    curve: LearningCurve | None
    probe: LayerProbe | None
    options: FitOptions
    seconds: Mapping[str, float]


def to_json(result: FitResult) -> dict[str, Any]:
    """The content of `report.json`: all but the head's weights."""
    head = result.head
    options = {name: value for name, value in asdict(result.options).items() if name != "scratch"}
    found = {
        "format": 1,
        "head": {
            "layers": head.layers,
            "mix": None if head.mix is None else head.mix.tolist(),
            "mix_weights": result.mix_weights,
            "pooling": head.pooling,
            "problem": head.problem,
            "num_parameters": head.num_parameters,
            "temperature": head.temperature,
        },
        "labels": result.names,
        "metric": result.metric,
        "options": options,
        "outlook": None if result.curve is None else result.curve.outlook,
    }
    plain = ("chosen", "candidates", "parts", "label_rows", "duplicates", "test", "curve", "probe", "seconds")
    return found | {name: _plain(getattr(result, name)) for name in plain}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _plain(asdict(value)) if hasattr(value, "__dataclass_fields__") else value
