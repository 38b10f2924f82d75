"""Read-only facts about a model: its trunk, dtype, device, number of parameters, memory and operations."""

from collections.abc import Mapping
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from model.checkpoints.parameters import parameters_of
from model.config import XLMRobertaXLConfig
from model.inference.encoder import InferenceEncoder
from model.layers.encoder import Embeddings, Encoder
from model.packing import PackedBatch
from model.parallel.group import ShardGroup
from model.parallel.layers import VocabParallelEmbedding


class Trunk(Protocol):
    """What the base class uses of a trunk, which is an `XLMRobertaXLModel`."""

    embeddings: Embeddings
    encoder: Encoder
    fused: InferenceEncoder | None

    def forward_packed(self, batch: PackedBatch) -> Tensor:
        """Hidden states of packed sequences."""


class ModelFacts(nn.Module):
    """Attributes and methods that all models of Transformers have in common."""

    config: XLMRobertaXLConfig
    group: ShardGroup
    config_class = XLMRobertaXLConfig
    base_model_prefix = "roberta"
    main_input_name = "input_ids"
    framework = "pt"
    is_parallelizable = False
    supports_gradient_checkpointing = True

    @property
    def base_model(self) -> Trunk:
        """The trunk: `roberta` of a task model; a trunk itself."""
        return cast(Trunk, getattr(self, self.base_model_prefix, self))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def name_or_path(self) -> str:
        """The argument of `from_pretrained`."""
        return self.config.name_or_path

    @property
    def dummy_inputs(self) -> dict[str, Tensor]:
        """Token ids to try the model with."""
        return {"input_ids": torch.tensor([[7, 6, 0, 0, 1], [1, 2, 3, 0, 0], [0, 0, 0, 4, 5]])}

    @classmethod
    def can_generate(cls) -> bool:
        """Whether the class has `generate`."""
        return hasattr(cls, "generate")

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """Number of parameters of the whole model, not of a rank's slice; tied ones once, without pruned ones."""
        return sum(
            entry.full_shape.numel()
            for entry in parameters_of(self)
            if (entry.parameter.requires_grad or not only_trainable)
            and not (exclude_embeddings and isinstance(entry.places[0][0], nn.Embedding | VocabParallelEmbedding))
        )

    def get_memory_footprint(self, return_buffers: bool = True) -> int:
        """Bytes of this rank's parameters and buffers."""
        tensors = [*self.parameters(), *(self.buffers() if return_buffers else ())]
        return sum(tensor.nbytes for tensor in tensors)

    def estimate_tokens(self, input_dict: Mapping[str, Any]) -> int:
        """Tokens of a batch, padding included; 0 without the main input."""
        return int(input_dict[self.main_input_name].numel()) if self.main_input_name in input_dict else 0

    def floating_point_ops(self, input_dict: Mapping[str, Any], exclude_embeddings: bool = True) -> int:
        """Operations of a forward and a backward pass: 6 per token and parameter (Kaplan et al. 2020, 2.1)."""
        return 6 * self.estimate_tokens(input_dict) * self.num_parameters(exclude_embeddings=exclude_embeddings)
