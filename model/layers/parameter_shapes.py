"""The parameters of the trunk and of what is put on it, by name and shape, without building modules.

With these a checkpoint is compared with its configuration in a process without torch, which loads slowly. A test
compares them with the modules.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from model.checkpoints.reader import Checkpoint, stored_name
from model.config import XLMRobertaXLConfig


@dataclass(frozen=True)
class ParameterShape:
    """One parameter.

    Attributes:
        names: the names that it may be stored under; several if it is tied.
        shape: of the whole parameter, of which a rank may hold a slice.
        is_embedding: whether it is the word embeddings of the trunk, shared by a language modeling head.
    """

    names: tuple[str, ...]
    shape: tuple[int, ...]
    is_embedding: bool = False

    def stored_name(self, checkpoint: Checkpoint) -> str | None:
        """The name to read it under, or None if the checkpoint has none of them."""
        return stored_name(self.names, checkpoint)


def trunk_parameters(config: XLMRobertaXLConfig) -> list[ParameterShape]:
    """The embeddings and the encoder."""
    tables = {
        "word_embeddings": config.vocab_size,
        "position_embeddings": config.max_position_embeddings,
        "token_type_embeddings": config.type_vocab_size,
    }
    return [
        *(_parameter(f"embeddings.{name}.weight", num, config.hidden_size) for name, num in tables.items()),
        *(parameter for index in range(config.num_hidden_layers) for parameter in _layer(config, index)),
        *_layer_norm("encoder.LayerNorm", config),
    ]


def pooler_parameters(config: XLMRobertaXLConfig, prefix: str) -> list[ParameterShape]:
    """`Pooler`."""
    return _linear(f"{prefix}.dense", config.hidden_size, config.hidden_size)


def label_head_parameters(
    config: XLMRobertaXLConfig, prefix: str, num_labels: int | None = None
) -> list[ParameterShape]:
    """`LabelHead`."""
    return _linear(prefix, config.hidden_size, config.num_labels if num_labels is None else num_labels)


def classification_head_parameters(config: XLMRobertaXLConfig, prefix: str) -> list[ParameterShape]:
    """`ClassificationHead`."""
    return [
        *_linear(f"{prefix}.dense", config.hidden_size, config.hidden_size),
        *_linear(f"{prefix}.out_proj", config.hidden_size, config.num_labels),
    ]


def feature_classifier_parameters(
    config: XLMRobertaXLConfig, prefix: str, dense_sizes: Sequence[int]
) -> list[ParameterShape]:
    """`FeatureClassifier`."""
    sizes = [config.hidden_size, *dense_sizes]
    dense = [
        parameter
        for index, (in_size, out_size) in enumerate(pairwise(sizes))
        for parameter in _linear(f"{prefix}.dense.{index}", in_size, out_size)
    ]
    return [*dense, *_linear(f"{prefix}.out_proj", sizes[-1], config.num_labels)]


def layer_mix_parameters(prefix: str, num_layers: int) -> list[ParameterShape]:
    """`LayerMix`."""
    return [_parameter(f"{prefix}.weight", num_layers), _parameter(f"{prefix}.gamma", 1)]


def estimator_parameters(prefix: str, sizes: Sequence[int]) -> list[ParameterShape]:
    """`Estimator`."""
    ends = [*sizes[1:], 1]
    return [
        parameter
        for i, (size, end) in enumerate(zip(sizes, ends, strict=True))
        for parameter in _linear(f"{prefix}.layers.{i}", size, end)
    ]


def lm_head_parameters(config: XLMRobertaXLConfig, prefix: str) -> list[ParameterShape]:
    """`LMHead`, with the trunk's embeddings if they are tied."""
    weight = (config.vocab_size, config.hidden_size)
    return [
        ParameterShape((f"{prefix}.bias", f"{prefix}.decoder.bias"), (config.vocab_size,)),
        *_linear(f"{prefix}.dense", config.hidden_size, config.hidden_size),
        *_layer_norm(f"{prefix}.layer_norm", config),
        ParameterShape((f"{prefix}.decoder.weight",), weight, is_embedding=config.tie_word_embeddings),
    ]


def _layer(config: XLMRobertaXLConfig, index: int) -> Iterator[ParameterShape]:
    prefix, hidden_size = f"encoder.layer.{index}", config.hidden_size
    is_absolute = config.position_embedding_type == "absolute"
    num_heads = len(config.kept_heads(index))
    yield from _attention(config, f"{prefix}.attention", num_heads, is_absolute=is_absolute)
    if config.add_cross_attention:
        yield from _attention(config, f"{prefix}.crossattention", config.num_attention_heads, is_absolute=True)
    yield from _linear(f"{prefix}.intermediate.dense", hidden_size, config.intermediate_size)
    yield from _linear(f"{prefix}.output.dense", config.intermediate_size, hidden_size)
    yield from _layer_norm(f"{prefix}.LayerNorm", config)


def _attention(
    config: XLMRobertaXLConfig, prefix: str, num_heads: int, *, is_absolute: bool
) -> Iterator[ParameterShape]:
    hidden_size, attention_size = config.hidden_size, num_heads * config.head_size
    yield from _layer_norm(f"{prefix}.self_attn_layer_norm", config)
    for name in ("query", "key", "value"):
        yield from _linear(f"{prefix}.self.{name}", hidden_size, attention_size)
    if not is_absolute:
        num_distances = 2 * config.max_position_embeddings - 1
        yield _parameter(f"{prefix}.self.distance_embedding.weight", num_distances, config.head_size)
    yield from _linear(f"{prefix}.output.dense", attention_size, hidden_size)


def _linear(prefix: str, in_size: int, out_size: int) -> list[ParameterShape]:
    return [_parameter(f"{prefix}.weight", out_size, in_size), _parameter(f"{prefix}.bias", out_size)]


def _layer_norm(prefix: str, config: XLMRobertaXLConfig) -> list[ParameterShape]:
    return [_parameter(f"{prefix}.{name}", config.hidden_size) for name in ("weight", "bias")]


def _parameter(name: str, *shape: int) -> ParameterShape:
    return ParameterShape((name,), shape)
