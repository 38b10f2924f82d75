"""What a head puts on the trunk: each layer as its parameters, and as a module, which needs torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from model.config import XLMRobertaXLConfig
from model.configuration.comet import CometOptions
from model.layers.feature_head import FeatureHead
from model.layers.parameter_shapes import (
    ParameterShape,
    classification_head_parameters,
    estimator_parameters,
    feature_classifier_parameters,
    label_head_parameters,
    layer_mix_parameters,
    lm_head_parameters,
    pooler_parameters,
)

if TYPE_CHECKING:
    from torch import nn

    from model.parallel.group import ShardGroup
    from model.parallel.layers import VocabParallelEmbedding


class HeadLayer(Protocol):
    """A layer on the trunk."""

    @property
    def is_fp32(self) -> bool:
        """Whether its weights stay in fp32 where the trunk is in half precision."""

    def parameters(self, config: XLMRobertaXLConfig, prefix: str) -> list[ParameterShape]:
        """Its parameters; `prefix` is its name in checkpoints."""

    def build(
        self, config: XLMRobertaXLConfig, group: "ShardGroup", embedding: "VocabParallelEmbedding"
    ) -> "nn.Module":
        """The module on a rank of the group; `embedding` are the word embeddings of the trunk."""


@dataclass(frozen=True)
class Pooling:
    """The pooler of the trunk."""

    is_fp32: ClassVar[bool] = False

    def parameters(self, config: XLMRobertaXLConfig, prefix: str) -> list[ParameterShape]:
        """As of `HeadLayer`."""
        return pooler_parameters(config, prefix)

    def build(self, config: XLMRobertaXLConfig, *_: object) -> "nn.Module":
        """As of `HeadLayer`."""
        from model.layers.encoder import Pooler  # noqa: PLC0415

        return Pooler(config)


@dataclass(frozen=True)
class Labelling:
    """One linear layer onto the labels, as many as the configuration has unless `num_labels` is given."""

    num_labels: int | None = None
    is_fp32: bool = False

    def parameters(self, config: XLMRobertaXLConfig, prefix: str) -> list[ParameterShape]:
        """As of `HeadLayer`."""
        return label_head_parameters(config, prefix, self.num_labels)

    def build(self, config: XLMRobertaXLConfig, *_: object) -> "nn.Module":
        """As of `HeadLayer`."""
        from model.layers.heads import LabelHead  # noqa: PLC0415

        return LabelHead(config, self.num_labels)


@dataclass(frozen=True)
class Classifying:
    """The classifier on the state of `<s>`."""

    is_fp32: ClassVar[bool] = False

    def parameters(self, config: XLMRobertaXLConfig, prefix: str) -> list[ParameterShape]:
        """As of `HeadLayer`."""
        return classification_head_parameters(config, prefix)

    def build(self, config: XLMRobertaXLConfig, *_: object) -> "nn.Module":
        """As of `HeadLayer`."""
        from model.layers.heads import ClassificationHead  # noqa: PLC0415

        return ClassificationHead(config)


@dataclass(frozen=True)
class Mixing:
    """The weights of a mix of layers, always in fp32."""

    num_layers: int
    is_fp32: ClassVar[bool] = True

    def parameters(self, config: XLMRobertaXLConfig, prefix: str) -> list[ParameterShape]:
        """As of `HeadLayer`."""
        return layer_mix_parameters(prefix, self.num_layers)

    def build(self, *_: object) -> "nn.Module":
        """As of `HeadLayer`."""
        from model.layers.layer_mix import LayerMix  # noqa: PLC0415

        return LayerMix(self.num_layers)


@dataclass(frozen=True)
class FeatureClassifying:
    """The dense layers of a head on features of a frozen trunk, always in fp32."""

    head: FeatureHead
    is_fp32: ClassVar[bool] = True

    def parameters(self, config: XLMRobertaXLConfig, prefix: str) -> list[ParameterShape]:
        """As of `HeadLayer`."""
        return feature_classifier_parameters(config, prefix, self.head.dense_sizes)

    def build(self, config: XLMRobertaXLConfig, *_: object) -> "nn.Module":
        """As of `HeadLayer`."""
        from model.layers.feature_classifier import FeatureClassifier  # noqa: PLC0415

        return FeatureClassifier(self.head, config.hidden_size, config.num_labels)


@dataclass(frozen=True)
class Estimating:
    """The estimator of a COMET metric, always in fp32."""

    options: CometOptions
    is_fp32: ClassVar[bool] = True

    def parameters(self, config: XLMRobertaXLConfig, prefix: str) -> list[ParameterShape]:
        """As of `HeadLayer`."""
        return estimator_parameters(prefix, (config.hidden_size, *self.options.hidden_sizes))

    def build(self, config: XLMRobertaXLConfig, *_: object) -> "nn.Module":
        """As of `HeadLayer`."""
        from model.layers.estimator import Estimator  # noqa: PLC0415

        sizes = (config.hidden_size, *self.options.hidden_sizes)
        return Estimator(sizes, self.options.activation, self.options.final_activation)


@dataclass(frozen=True)
class LanguageModeling:
    """The language modeling head; shares the trunk's embeddings if they are tied."""

    is_fp32: ClassVar[bool] = False

    def parameters(self, config: XLMRobertaXLConfig, prefix: str) -> list[ParameterShape]:
        """As of `HeadLayer`."""
        return lm_head_parameters(config, prefix)

    def build(
        self, config: XLMRobertaXLConfig, group: "ShardGroup", embedding: "VocabParallelEmbedding"
    ) -> "nn.Module":
        """As of `HeadLayer`."""
        from model.layers.heads import LMHead  # noqa: PLC0415

        return LMHead(config, group, embedding if config.tie_word_embeddings else None)
