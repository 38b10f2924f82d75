"""Vectors of an annotation job that was run before, as features."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.fit.features.annotated_parts import AnnotatedParts
from jobs.fit.features.feature_parts import FeatureParts, LayerColumn
from jobs.fit.features.feature_source import FeatureSource
from jobs.fit.settings import FitSettings
from model import XLMRobertaXLConfig
from model.checkpoints.errors import CheckpointError
from pipeline.errors import InputError
from pipeline.output.manifest import Manifest
from pipeline.output.output_path import open_output

_FIELD = "input.column"
_NEEDED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "normalize": ((False,), "vectors as the model gives them"),
    "dimensions": ((None,), "all dimensions"),
    "dtype": (("float32", "float16"), "floating-point numbers"),
    "level": (("sentence",), "vectors of texts or words"),
    "pooling": (("mean", "cls", "max"), "the states of a layer"),
    "scale": ((None,), "vectors as the model gives them"),
    "joined": (("pair", None), "pairs joined as a classifier reads them"),
}


def existing_features(
    settings: FitSettings, trunk: XLMRobertaXLConfig
) -> tuple[AnnotatedParts, FeatureParts, FeatureSource]:
    """The parts that `input.features` names, the vectors in `input.column`, and what these were made of.

    Raises InputError for vectors that no head on this model can read.
    """
    assert settings.input.features is not None
    parts = AnnotatedParts.open(Path(settings.input.features), "input.features")
    options = _options(settings.input.features, settings.input.column)
    _require_usable(options, settings)
    source = FeatureSource(
        "word" if options.get("words") else options["pooling"],
        options.get("text") or None,
        options.get("text_pair"),
        options.get("words"),
    )
    columns = _columns(parts.schema.field(settings.input.column).type, settings.input.column, options, trunk)
    if source.words is None:
        return parts, FeatureParts.of_texts(parts, columns), source
    if source.words not in parts.schema.names:
        raise InputError(
            f"input.features: found no column {source.words!r} in {settings.input.features}, expected the words "
            "that the vectors are of; carry it to that output"
        )
    return parts, FeatureParts.of_words(parts, columns, source.words), source


def _options(path: str, column: str) -> dict[str, Any]:
    """The options of the head whose column it is, and `trunk`, the digest of its model."""
    identity = Manifest(open_output(path)).identity() or {}
    prefix = f"heads.{column}."
    found = {key.removeprefix(prefix): value for key, value in identity.items() if key.startswith(prefix)}
    if json.loads(found.get("task", "null")) != "embedding":
        names = json.loads(identity.get("heads", "[]"))
        raise InputError(
            f"{_FIELD}: found no embedding head {column!r} in {path}, expected one; its heads are "
            f"{', '.join(map(repr, names)) or 'unknown'}; name one of them that is, or another input.features"
        )
    digests = ("trunk", "weights")
    return {key: value if key in digests else json.loads(value) for key, value in found.items()}


def _require_usable(options: Mapping[str, Any], settings: FitSettings) -> None:
    from pipeline.driver.identity import weights_digest  # noqa: PLC0415

    column = settings.input.column
    for name, (accepted, words) in _NEEDED.items():
        if options.get(name) not in accepted:
            raise InputError(
                f"{_FIELD}: the vectors {column!r} were made with {name} = {json.dumps(options.get(name))}, "
                f"expected {words}, which a head can read of the model; make them again with "
                f"{name} = {json.dumps(accepted[0])}, or name the texts as input.path"
            )
    try:
        digest = weights_digest(settings.model.path)
    except (OSError, CheckpointError) as error:
        raise InputError(f"model.path: {error}; name the directory of the model that made the vectors") from None
    if options["trunk"] != digest:
        raise InputError(
            f"{_FIELD}: the vectors {column!r} are of another model than model.path, {settings.model.path}, "
            "expected the same; name the model that they were made with"
        )


def _columns(
    type_: pa.DataType, column: str, options: Mapping[str, Any], trunk: XLMRobertaXLConfig
) -> dict[int, LayerColumn]:
    if pa.types.is_struct(type_):
        return {int(field.name.removeprefix("layer_")): LayerColumn((column, field.name)) for field in type_}
    layer = options.get("layer")
    num_layers = trunk.num_hidden_layers
    return {num_layers if layer is None else layer % (num_layers + 1): LayerColumn((column,))}
