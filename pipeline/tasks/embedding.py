"""Embeddings: one vector for each text, token or word, normalized and quantized for a vector index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from pipeline.tasks.contract import (
    HeadMemory,
    HeadOutput,
    HeadStates,
    OrderedHeadOutput,
    SequenceSpec,
    Task,
    place_rows,
    text_spec,
    translation_spec,
)
from pipeline.tasks.requests import HeadRequest, HeadSequences, Places, request_owned_tokens, request_sequences
from pipeline.tasks.sections import AddedLater, FromList, InputColumn, NonEmpty, TextHeadSection
from pipeline.tasks.vector_columns import (
    NOT_FINITE_IN_FLOAT16,
    VectorDtype,
    dtype_problems,
    exceed_float16,
    finish_vectors,
    token_vectors_column,
    vector_type,
    vectors_column,
    word_vectors_column,
)
from pipeline.tasks.window_merging import row_maxima, row_means

if TYPE_CHECKING:
    from torch import Tensor

    from model import XLMRobertaXLConfig
    from pipeline.tasks.contract import HeadLayers, LayerReads


class EmbeddingHead(TextHeadSection):
    """One vector for each text, or for each token or word."""

    task: Literal["embedding"]
    pooling: Literal["mean", "cls", "max", "pooler"] = Field(
        default="mean",
        description='"mean", "cls", "max" or "pooler". The vector is the mean or the maximum over the tokens of '
        "the text, the state of the token `<s>` that begins it, or that state through the checkpoint's pooler.",
        examples=["cls"],
    )
    normalize: bool = Field(
        default=True,
        description="true (vectors of length 1) or false. The dot product of two vectors of length 1 is their "
        "cosine.",
        examples=[False],
    )
    level: Literal["sentence", "token"] = Field(
        default="sentence",
        description='"sentence" or "token". "token" gives a list with one vector for each token of the text.',
        examples=["token"],
    )
    dimensions: int | None = Field(
        default=None,
        ge=1,
        description="the leading dimensions to keep, 1 or more and no more than the model has. Without it, all of "
        "them: 2560 for XL, 4096 for XXL. They are cut before vectors are normalized.",
        examples=[256],
    )
    dtype: VectorDtype = Field(
        default="float32",
        description='"float32", "float16", "int8" or "ubinary". "int8" is 127 times the number, rounded; '
        '"ubinary" is one bit per dimension, 1 where the number is above 0, and 8 of them a byte.',
        examples=["float16"],
    )
    layer: Annotated[int | None, AddedLater()] = Field(
        default=None,
        description="the layer that vectors are made of, from 0 (the embeddings) to the number of layers (the "
        "last one, normalised), or negative, counted from the end. Without it, the last one. Layers beyond those "
        "that the heads read are not computed, so an early layer saves time.",
        examples=[24],
    )
    layers: Annotated[
        Literal["all"] | Annotated[tuple[int, ...], Field(min_length=1), FromList] | None, AddedLater()
    ] = Field(
        default=None,
        description='"all" or a list of one or more layers, counted as `layer`. The column is a struct with a '
        "vector for each of them, named layer_0 and so on. All 37 of XL take 379 kB a row in float32. Without it, "
        "the column is one vector.",
        examples=[[12, 24, -1]],
    )
    words: Annotated[NonEmpty | None, AddedLater()] = Field(
        default=None,
        description="the name or dotted path of a list column with the words of a text (then there is no `text`). "
        "The column is a list with a vector for each word, that of its first token, and null for a word without "
        "tokens. Without it, `text` is read.",
        examples=["tokens"],
    )
    text_pair: Annotated[NonEmpty | None, AddedLater()] = Field(
        default=None,
        description="the name or dotted path of the column with the second text of a pair. The vector is one of "
        "both texts, as a classifier of pairs reads them. Without it, texts are read alone.",
        examples=["hypothesis"],
    )
    joined: Annotated[Literal["pair", "translation"], AddedLater()] = Field(
        default="pair",
        description='"pair" or "translation": how both texts of a pair are joined. "translation" is as '
        "`translation-quality` reads a translation (`text`) and its source (`text_pair`), cut to one window. It "
        'shares a pass with such a head of the same model that has no `reference` and `blank = "error"`.',
        examples=["pair"],
    )
    scale: Annotated[
        Annotated[tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...], Field(min_length=1), FromList]
        | None,
        AddedLater(),
    ] = Field(
        default=None,
        description="a list of numbers above 0, one for each dimension. Each dimension is divided by its number, "
        "so that float16 can hold it. Without it, vectors are as the model gives them.",
        examples=[[1.0, 256.0]],
    )

    @property
    def input_columns(self) -> tuple[InputColumn, ...]:
        """The text, or both of a pair, or the words."""
        if self.words is not None:
            return (InputColumn(self.words, "list of text", "words"),)
        pair = () if self.text_pair is None else (InputColumn(self.text_pair, "text", "text_pair"),)
        return (*super().input_columns, *pair)

    @property
    def is_pooled(self) -> bool:
        """Whether there is one vector for a text."""
        return self.level == "sentence" and self.words is None

    def _disagreements_of_translation(self) -> list[str]:
        cut = 'joined = "translation", which cuts a pair to one window; remove one of the two'
        parted = {"window": self.window, "stride": self.stride}
        if "truncate" in self.model_fields_set and not self.truncate:
            parted["truncate"] = self.truncate
        found = [f"{name}: found {str(at).lower()} and {cut}" for name, at in parted.items() if at is not None]
        if self.text_pair is None:
            found.append('text_pair: found none, expected the source for joined = "translation"; name one')
        return found

    def _disagreements(self) -> list[str]:
        problems = super()._disagreements()
        problems += [
            f'{name}: found "{getattr(self, name)}" and words = "{self.words}", which gives the words of a text '
            "one vector each; remove one of the two"
            for name in ("text", "text_pair", "level", "pooling")
            if self.words is not None and name in self.model_fields_set and getattr(self, name)
        ]
        if self.text_pair is not None and self.level == "token":
            problems.append(
                f'text_pair: found "{self.text_pair}" and level = "token", expected one vector for both texts; '
                "remove one of the two"
            )
        if self.joined == "translation":
            problems += self._disagreements_of_translation()
        if self.layer is not None and self.layers is not None:
            problems.append(
                f"layer: found {self.layer}, expected none beside layers, which names all that are wanted; remove "
                "one of the two"
            )
        if self.pooling == "pooler" and (self.layer is not None or self.layers is not None):
            problems.append(
                'pooling: found "pooler", expected "mean", "cls" or "max" where layer or layers is set, as the '
                "pooler was trained on the last layer; remove one of the two"
            )
        if self.level == "token" and "pooling" in self.model_fields_set:
            problems.append(
                f'pooling: found "{self.pooling}", expected none where level is token, as every token keeps its '
                "vector; remove it"
            )
        problems += dtype_problems(self.dtype, normalize=self.normalize, dimensions=self.dimensions)
        return problems

    def num_dimensions(self, hidden_size: int) -> int:
        """Dimensions of a vector over a trunk of this width, before bits are packed.

        Raises ValueError, which begins with the option's name, if `dimensions` or `dtype` does not fit the trunk.
        """
        if self.dimensions is not None and self.dimensions > hidden_size:
            raise ValueError(
                f"dimensions: found {self.dimensions}, expected at most the model's hidden_size, {hidden_size}; "
                "write less, or leave it out"
            )
        if self.scale is not None and len(self.scale) != hidden_size:
            raise ValueError(
                f"scale: found {len(self.scale)} numbers, expected one for each of the model's {hidden_size} "
                "dimensions; correct it, or leave it out"
            )
        num_dimensions = self.dimensions or hidden_size
        if self.dtype == "ubinary" and num_dimensions % 8:
            raise ValueError(
                f'dtype: found "ubinary", expected a multiple of 8 dimensions for it, and the model has '
                f"{num_dimensions}; set dimensions to a multiple of 8"
            )
        return num_dimensions

    def divided(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors `[n, hidden_size]` by `scale`."""
        return vectors if self.scale is None else np.divide(vectors, np.asarray(self.scale, dtype=np.float32))

    def layers_of(self, num_layers: int) -> tuple[int, ...]:
        """The layers of a trunk that are read, ascending; none for its last hidden states.

        Raises ValueError, which begins with the option's name, for one that the trunk has not, or one named twice.
        """
        if self.layers == "all":
            return tuple(range(num_layers + 1))
        option = "layer" if self.layers is None else "layers"
        named = self.layers or (() if self.layer is None else (self.layer,))
        for layer in named:
            if not -num_layers - 1 <= layer <= num_layers:
                raise ValueError(
                    f"{option}: found {layer}, expected 0 (the embeddings) to {num_layers} (the last layer), or "
                    f"{-num_layers - 1} to -1, counted from the end; name a layer that the model has"
                )
        found = sorted(layer % (num_layers + 1) for layer in named)
        if len(set(found)) < len(found):
            raise ValueError(
                f"layers: found {list(named)}, expected each layer once; remove one of two equal ones"
            )
        return () if self.layers is None and found == [num_layers] else tuple(found)


def _output_type(options: EmbeddingHead, config: XLMRobertaXLConfig) -> pa.DataType:
    num_dimensions = options.num_dimensions(config.hidden_size)
    vector = vector_type(options.dtype, num_dimensions)
    column = vector if options.is_pooled else pa.list_(vector)
    layers = dict.fromkeys(_names(options, config), column)
    return column if options.layers is None else pa.struct(layers)


def _names(options: EmbeddingHead, config: XLMRobertaXLConfig) -> list[str]:
    """The names of the layers that are read."""
    return [f"layer_{layer}" for layer in options.layers_of(config.num_hidden_layers)]


def _reads(options: EmbeddingHead, config: XLMRobertaXLConfig) -> LayerReads:
    from model.layers.layer_reads import LayerRead  # noqa: PLC0415

    layers = options.layers_of(config.num_hidden_layers)
    if not layers:
        return {}
    pooling = options.pooling if options.is_pooled else "token"
    assert pooling != "pooler"
    names = _names(options, config)
    return {name: LayerRead((layer,), pooling) for name, layer in zip(names, layers, strict=True)}


def _sequence_spec(options: EmbeddingHead, max_num_tokens: int) -> SequenceSpec:
    if options.joined == "translation":
        return translation_spec(options.text_columns, max_num_tokens)
    window = options.resolve_window(max_num_tokens)
    if options.words is not None:
        return SequenceSpec("words", (options.words,), *window, options.truncate)
    if options.text_pair is not None:
        return SequenceSpec("pair", (options.text, options.text_pair), *window, options.truncate)
    return text_spec(options, max_num_tokens)


def _request(options: EmbeddingHead, batch: HeadSequences) -> tuple[HeadRequest, Places]:
    return (request_sequences if options.is_pooled else request_owned_tokens)(batch)


def _layers(options: EmbeddingHead, config: XLMRobertaXLConfig) -> HeadLayers:
    if options.pooling != "pooler":
        return {}
    from model.layers.head_layers import Pooling  # noqa: PLC0415

    return {"pooler": Pooling()}


def _compute(options: EmbeddingHead, states: HeadStates) -> tuple[Tensor, ...]:
    from model.layers.heads import pool_max, pool_mean  # noqa: PLC0415

    if states.layers:
        return tuple(states.layers.values())
    if not options.is_pooled:
        return (states.requested.float(),)
    match options.pooling:
        case "mean":
            return (pool_mean(states.hidden, states.packed, states.index),)
        case "max":
            return (pool_max(states.hidden, states.packed, states.index),)
        case "cls" | "pooler":
            return states.through_modules()


def _memory(options: EmbeddingHead) -> HeadMemory:
    # A text has at least two tokens.
    return HeadMemory(tokens_per_vector=2 if options.is_pooled else 1)


def _unusable(options: EmbeddingHead, values: HeadOutput) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    if options.dtype == "float16" and not options.normalize:
        for vectors in values:
            scaled = options.divided(np.asarray(vectors, dtype=np.float32))
            yield NOT_FINITE_IN_FLOAT16, exceed_float16(scaled[:, : options.dimensions])


def _decode(options: EmbeddingHead, output: OrderedHeadOutput) -> pa.Array:
    columns = [
        _vectors(options, replace(output, values=(options.divided(np.asarray(values, dtype=np.float32)),)))
        for values in output.values
    ]
    if options.layers is None:
        return columns[0]
    return pa.StructArray.from_arrays(columns, names=_names(options, output.config))


def _vectors(options: EmbeddingHead, output: OrderedHeadOutput) -> pa.Array:
    """The column of one layer."""
    finish = partial(
        finish_vectors,
        dimensions=options.num_dimensions(output.config.hidden_size),
        normalize=options.normalize,
        dtype=options.dtype,
    )
    if options.words is not None:
        return word_vectors_column(output, finish)
    if options.level == "token":
        return token_vectors_column(finish(output.floats), output.row_offsets)
    vectors, rows = row_maxima(output) if options.pooling == "max" else row_means(output)
    return place_rows(vectors_column(finish(vectors)), rows, output.num_rows)


TASK = Task(
    name="embedding",
    options=EmbeddingHead,
    output_type=_output_type,
    sequence_spec=_sequence_spec,
    request=_request,
    layers=_layers,
    reads=_reads,
    compute=_compute,
    decode=_decode,
    memory=_memory,
    unusable=_unusable,
)
