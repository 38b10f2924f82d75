"""One rank's slices of trunks and heads, and what it does with a batch. Torch only: no Ray here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model import PackedBatch, ShardGroup, XLMRobertaXLModel
from model.checkpoint import Checkpoint, CheckpointError, load_parameters
from model.encoder import Pooler
from model.heads import ClassificationHead, LMHead, pool_max, pool_mean
from model.pretrained import refuse_missing_trunk
from pipeline.head_config import EmbeddingHead, MaskedLMLossHead, TextClassificationHead
from pipeline.heads import Head, read_config
from pipeline.sequences import HeadRequest, ShardBatch

Results = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class ShardSettings:
    """Where and in which precision a rank computes.

    Attributes:
        device: "cpu" or "cuda".
        dtype: name of the torch dtype of the weights.
        num_threads: of torch on the CPU.
    """

    device: str
    dtype: str
    num_threads: int

    @property
    def torch_dtype(self) -> torch.dtype:
        """The torch dtype of that name."""
        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype


class Shard:
    """The distinct trunks of a job and the heads on them, as far as this rank holds them.

    Attributes:
        unused: by directory, stored tensors that neither trunk nor heads took.
        num_trunk_tokens: tokens that have passed a trunk since the start.
    """

    def __init__(self, heads: Sequence[Head], settings: ShardSettings, group: ShardGroup) -> None:
        self.settings = settings
        self.group = group
        self.num_trunk_tokens = 0
        self._checkpoints: dict[str, Checkpoint] = {}
        self._heads = {head.name: head for head in heads}
        self._trunks = {path: self._load_trunk(path) for path in dict.fromkeys(h.trunk for h in heads)}
        self._modules = {head.name: self._load_head(head) for head in heads}
        self.unused = {path: c.unused for path, c in self._checkpoints.items() if c.unused}
        # Closes the files: what was read has been copied, and mapped pages would count as this rank's memory.
        self._checkpoints.clear()

    def _checkpoint(self, path: str) -> Checkpoint:
        if path not in self._checkpoints:
            self._checkpoints[path] = Checkpoint(path)
        return self._checkpoints[path]

    def _load(self, module: nn.Module, path: str, prefix: str = "") -> list[str]:
        return load_parameters(
            module,
            self._checkpoint(path),
            prefix=prefix,
            dtype=self.settings.torch_dtype,
            device=self.settings.device,
        )

    def _load_trunk(self, path: str) -> XLMRobertaXLModel:
        trunk = build_trunk(path, self.group)
        refuse_missing_trunk(self._load(trunk, path), self._checkpoint(path))
        return trunk.eval()

    def _load_head(self, head: Head) -> nn.Module | None:
        """The head's module with its weights; None for a head that only pools."""
        module, prefix = build_head(head, self._trunks[head.trunk])
        if module is None:
            return None
        missing = self._load(module, head.options.weights, prefix)
        if missing:
            raise CheckpointError(
                f"heads.{head.name}.weights: {head.options.weights} lacks {', '.join(missing)}; "
                "name the directory of a complete checkpoint"
            )
        return module.eval()

    @torch.inference_mode()
    def run(self, batch: ShardBatch) -> Results:
        """Pass a batch through its trunk once, and each head over what it is asked for.

        Returns:
            by head, fp32: logits `[n, num_labels]`, embeddings `[n, hidden_size]`, or the negative log
            likelihood in nats of each labelled token `[n]`; n is the length of the request's index.
        """
        trunk = self._trunks[batch.trunk]
        packed = PackedBatch.from_lengths(
            torch.from_numpy(batch.input_ids),
            batch.lengths.tolist(),
            pad_token_id=trunk.config.pad_token_id,
            device=self.settings.device,
        )
        hidden_TD = trunk.forward_packed(packed)
        self.num_trunk_tokens += len(batch.input_ids)
        return {
            name: self._run_head(name, hidden_TD, packed, request).float().cpu().numpy()
            for name, request in batch.requests.items()
        }

    def _run_head(self, name: str, hidden_TD: Tensor, packed: PackedBatch, request: HeadRequest) -> Tensor:
        head, module = self._heads[name], self._modules[name]
        index = torch.from_numpy(request.index).to(self.settings.device)
        match head.options:
            case TextClassificationHead():
                assert module is not None
                logits: Tensor = module(hidden_TD[packed.first_positions[index]])
                return logits
            case MaskedLMLossHead():
                assert isinstance(module, LMHead)
                assert request.labels is not None
                labels = torch.from_numpy(request.labels).to(self.settings.device, torch.int64)
                return module.nll(hidden_TD[index], labels)
            case EmbeddingHead():
                vectors = _pool(head.options.pooling, hidden_TD, packed, index, module)
                return nn.functional.normalize(vectors, dim=-1) if head.options.normalize else vectors


def build_trunk(path: str, group: ShardGroup) -> XLMRobertaXLModel:
    """A rank's part of a trunk, without its weights (on the meta device)."""
    with torch.device("meta"):
        return XLMRobertaXLModel(read_config(path, "trunk"), add_pooling_layer=False, group=group)


def build_head(head: Head, trunk: XLMRobertaXLModel) -> tuple[nn.Module | None, str]:
    """A head's module without its weights, and its name in checkpoints; None for a head that only pools."""
    with torch.device("meta"):
        match head.options:
            case TextClassificationHead():
                return ClassificationHead(head.config), "classifier"
            case MaskedLMLossHead():
                embedding = trunk.get_input_embeddings() if head.config.tie_word_embeddings else None
                return LMHead(head.config, trunk.group, embedding), "lm_head"
            case EmbeddingHead(pooling="pooler"):
                return Pooler(head.config), "pooler"
            case EmbeddingHead():
                return None, ""


def _pool(pooling: str, hidden_TD: Tensor, packed: PackedBatch, index: Tensor, pooler: nn.Module | None) -> Tensor:
    """One fp32 vector for each chosen sequence, `[n, hidden_size]`."""
    if pooling == "mean":
        return pool_mean(hidden_TD, packed, index)
    if pooling == "max":
        return pool_max(hidden_TD, packed, index)
    first_token_ND = hidden_TD[packed.first_positions[index]]
    vectors: Tensor = first_token_ND if pooler is None else pooler(first_token_ND)
    return vectors.float()
