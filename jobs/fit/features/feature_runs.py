"""Features by the annotation pipeline: a probe with all layers, then all rows with those worth keeping.

```
OUT/features/probe_rows/rows.parquet   a sample of the rows, where there are more than the probe takes
OUT/features/probe/                    the output of an annotation job: all layers, in float32
OUT/features/kept/                     the same of all rows: the layers that were chosen
```
Both are resumed as any annotation job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import ValidationError

from jobs.evaluate.annotation import annotate
from jobs.fit.features.annotated_parts import AnnotatedParts
from jobs.fit.features.feature_parts import FeatureParts, LayerColumn
from jobs.fit.features.feature_source import FeatureSource, sources_of
from jobs.fit.features.fields import with_own_fields
from jobs.fit.labels.early_checks import check_labels
from jobs.fit.settings import FitSettings, columns_of
from pipeline.config.job import JobConfig
from pipeline.config.messages import config_error
from pipeline.errors import ConfigError, FragmentError, InputError, PipelineError
from pipeline.monitoring.messages import Messages

if TYPE_CHECKING:
    from pipeline.driver.prepared_run import PreparedRun

_PROBE, _KEPT, _ROWS = "features/probe", "features/kept", "features/probe_rows/rows.parquet"
# Words are many more than texts.
_SENTENCES_PER_PART = 128

Scales = Mapping[tuple[FeatureSource, int], NDArray[np.float32]]


@dataclass(frozen=True)
class FeatureRuns:
    """The annotation jobs of a fit.

    `probe` has the rows that all layers are looked at on; `is_whole` where these are all rows.
    """

    settings: FitSettings
    folder: Path
    probe: "PreparedRun"
    is_whole: bool

    @classmethod
    def plan(cls, settings: FitSettings, folder: Path, messages: Messages) -> "FeatureRuns":
        """Check model and input, and write the rows of the probe. Raises ConfigError or InputError."""
        paths = list(settings.input.path)
        whole = _prepared(settings, _job(settings, paths, folder / _PROBE, _probe_heads(settings)), messages)
        check_labels(settings, whole.plan)
        if whole.plan.num_rows <= settings.features.probe_rows:
            return cls(settings, folder, whole, is_whole=True)
        _write_sample(whole, folder / _ROWS, settings.features.probe_rows)
        job = _job(settings, [str(folder / _ROWS)], folder / _PROBE, _probe_heads(settings))
        return cls(settings, folder, _prepared(settings, job, messages), is_whole=False)

    def run_probe(self, run: "Runner") -> AnnotatedParts:
        """All layers of the rows of the probe."""
        run(self.probe)
        return AnnotatedParts.open(self.folder / _PROBE, "output.path")

    def run_kept(
        self, layers: Mapping[FeatureSource, Sequence[int]], scales: Scales, run: "Runner"
    ) -> AnnotatedParts:
        """Some layers of all rows.

        Args:
            scales: of layers that are kept in float16.
        """
        heads = {}
        for number, (source, some) in enumerate(layers.items()):
            for layer in some:
                scale = scales.get((source, layer))
                stored = {} if scale is None else {"dtype": "float16", "scale": scale.tolist()}
                heads[f"{_name(number)}_layer_{layer}"] = {
                    **_head(self.settings, source),
                    "layer": layer,
                    **stored,
                }
        job = _job(self.settings, list(self.settings.input.path), self.folder / _KEPT, heads)
        run(_prepared(self.settings, job, run.messages))
        return AnnotatedParts.open(self.folder / _KEPT, "output.path")


@dataclass(frozen=True)
class Runner:
    """Annotates on a cluster."""

    address: str
    messages: Messages

    def __call__(self, prepared: "PreparedRun") -> None:
        """Annotate what is not annotated yet. Raises PipelineError where some of it could not be."""
        from pipeline.driver.cluster_address import reachable_cluster  # noqa: PLC0415

        code = annotate(prepared, reachable_cluster(self.address), self.messages)
        if code:
            raise PipelineError(
                "some of the features could not be computed, as told above; correct the input, and run the same "
                "command again"
            )


def probe_features(settings: FitSettings, parts: AnnotatedParts, source: FeatureSource) -> FeatureParts:
    """All layers of a source in the parts of a probe."""
    name = _name(sources_of(settings).index(source))
    layers = (int(field.name.removeprefix("layer_")) for field in parts.schema.field(name).type)
    return _features(parts, source, {layer: LayerColumn((name, f"layer_{layer}")) for layer in layers})


def kept_features(
    settings: FitSettings, parts: AnnotatedParts, source: FeatureSource, layers: Sequence[int], scales: Scales
) -> FeatureParts:
    """The layers that were kept of a source."""
    name = _name(sources_of(settings).index(source))
    columns = {layer: LayerColumn((f"{name}_layer_{layer}",), scales.get((source, layer))) for layer in layers}
    return _features(parts, source, columns)


def _features(parts: AnnotatedParts, source: FeatureSource, columns: Mapping[int, LayerColumn]) -> FeatureParts:
    if source.words is None:
        return FeatureParts.of_texts(parts, columns)
    return FeatureParts.of_words(parts, columns, source.words)


def _name(number: int) -> str:
    return f"features_{number}"


def _head(settings: FitSettings, source: FeatureSource) -> dict[str, Any]:
    options = settings.features
    windows = {
        name: value
        for name, value in (("window", options.window), ("stride", options.stride), ("truncate", options.truncate))
        if value is not None
    }
    return {"task": "embedding", **source.head, "normalize": False, **windows}


def _probe_heads(settings: FitSettings) -> dict[str, Any]:
    layers = settings.features.layers
    wanted = "all" if layers == "auto" else list(layers)
    return {
        _name(number): {**_head(settings, source), "layers": wanted}
        for number, source in enumerate(sources_of(settings))
    }


def _job(settings: FitSettings, paths: Sequence[str], output: Path, heads: Mapping[str, Any]) -> JobConfig:
    """The job that computes features. Raises ConfigError."""
    texts = (column for source in sources_of(settings) for column in source.columns)
    carried = list(dict.fromkeys([*columns_of(settings), *texts]))
    has_words = any(source.words is not None for source in sources_of(settings))
    rows = settings.input.max_fragment_rows
    data = {
        "model": settings.model.model_dump(),
        "input": {
            "path": list(paths),
            "columns": carried,
            "max_fragment_rows": min(rows, _SENTENCES_PER_PART) if has_words else rows,
        },
        "output": {"path": str(output)},
        "heads": dict(heads),
    }
    try:
        return JobConfig.model_validate(data)
    except ValidationError as error:
        problem = str(config_error("features", error, data, JobConfig, {}))
        raise ConfigError(with_own_fields(problem, settings)) from None


def _prepared(settings: FitSettings, job: JobConfig, messages: Messages) -> "PreparedRun":
    """Check a job. Raises ConfigError or InputError."""
    from pipeline.driver.prepared_run import RunOptions, prepare_run  # noqa: PLC0415

    try:
        # Rows of files that are gone, or of an earlier probe, are no rows to fit on.
        return prepare_run(job, RunOptions(prunes=True), messages)
    except InputError as error:
        raise InputError(with_own_fields(str(error), settings)) from None
    except ConfigError as error:
        problem, is_other_run, _ = str(error).partition("; choose another output.path, or add --restart")
        if not is_other_run:
            raise ConfigError(with_own_fields(str(error), settings)) from None
        features = Path(job.output.path).parent
        raise ConfigError(f"{problem}; choose another output.path, or delete {features}") from None


def _write_sample(prepared: "PreparedRun", path: Path, num_rows: int) -> None:
    """Write a sample of the rows, the same in every run; a file that is there already stays as it is."""
    from pipeline.driver.row_selection import read_rows, sampled_rows  # noqa: PLC0415

    plan = prepared.plan
    tables = []
    for found in read_rows(sampled_rows(plan.fragments, num_rows), plan.read_schema, plan.filesystem):
        if isinstance(found, FragmentError):
            raise InputError(f"input.path: {found}; take the file away, or correct it")
        tables.append(found)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.concat_tables(tables), sink, row_group_size=2048, compression="zstd")
    data = sink.getvalue().to_pybytes()
    if not path.exists() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.tmp")
        unfinished.write_bytes(data)
        unfinished.replace(path)
