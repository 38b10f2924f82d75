"""The demo model: three heads on one trunk, their losses, and their checkpoint."""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from jobs.demo.training.batches import Batch
from jobs.demo.training.languages import POS_LABELS
from jobs.demo.training.recipe import Phase, Recipe
from model import (
    PackedBatch,
    XLMRobertaXLConfig,
    XLMRobertaXLForMaskedLM,
    XLMRobertaXLForSequenceClassification,
    XLMRobertaXLForTokenClassification,
)
from model.checkpoints.tensor_files import SINGLE_FILE
from model.checkpoints.writer import TensorSpec, write_checkpoint
from model.layers.dropout import dropout
from model.layers.heads import pool_mean
from model.tokenizer.special_tokens import IGNORE_INDEX

POS_DIRECTORY = "pos"


class DemoNetwork(nn.Module):
    """A masked language model and two classifiers on one trunk.

    Attributes:
        lm: trunk and LM head; the embedding head has no weights of its own.
        language: labels a sequence.
        pos: labels tokens.
    """

    def __init__(self, recipe: Recipe, config: XLMRobertaXLConfig) -> None:
        super().__init__()
        self.recipe = recipe
        self.lm = XLMRobertaXLForMaskedLM(config)
        self.language = XLMRobertaXLForSequenceClassification(config)
        self.pos = XLMRobertaXLForTokenClassification(
            config.copy(
                id2label=dict(enumerate(POS_LABELS)), label2id={label: i for i, label in enumerate(POS_LABELS)}
            )
        )
        self.language.roberta = self.pos.roberta = self.lm.roberta
        self._scale_initial_weights()

    @torch.no_grad()
    def _scale_initial_weights(self) -> None:
        """Scale up the word embeddings, which the layers' outputs would dominate in so narrow a model.

        Output projections are scaled down by the number of layers (Radford et al. 2019, GPT-2, section 2.3).
        """
        trunk = self.lm.roberta
        trunk.embeddings.word_embeddings.weight.mul_(self.recipe.embedding_gain)
        for layer in trunk.encoder.layers:
            for projection in (layer.attention.output.dense, layer.output.dense):
                projection.weight.mul_((2 * self.recipe.num_layers) ** -0.5)

    @classmethod
    def load(cls, directory: Path) -> "DemoNetwork":
        """Load the files written by `save`, in fp32 and in `eval()` mode."""
        network = cls(Recipe(), XLMRobertaXLConfig.from_pretrained(directory))
        shared = load_file(directory / SINGLE_FILE)
        of_pos = shared | load_file(directory / POS_DIRECTORY / SINGLE_FILE)
        for model, tensors in ((network.lm, shared), (network.language, shared), (network.pos, of_pos)):
            for name, parameter in model.named_parameters():
                parameter.data.copy_(tensors[name])
        return network.eval()

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The losses that the batch has labels for, from one pass through the trunk."""
        packed = PackedBatch.from_lengths(batch.input_ids, batch.lengths, pad_token_id=1)
        hidden_TD = self.lm.roberta.forward_packed(packed)
        masked = (batch.masked_labels != IGNORE_INDEX).nonzero().squeeze(-1)
        logits = self.lm.lm_head.local_logits(hidden_TD[masked])
        losses = {"masked_lm": F.cross_entropy(logits, batch.masked_labels[masked])}
        if batch.phase.has_heads:
            first = hidden_TD[packed.first_positions]
            languages = self.language.classifier(first, self.language.dropout_seed())
            losses["language"] = F.cross_entropy(languages, batch.languages, ignore_index=IGNORE_INDEX)
            states = dropout(hidden_TD, self.recipe.dropout, self.pos.dropout_seed())
            losses["tags"] = F.cross_entropy(self.pos.classifier(states), batch.tags, ignore_index=IGNORE_INDEX)
            parallel = (batch.concepts >= 0).nonzero().squeeze(-1)
            vectors = pool_mean(hidden_TD, packed, parallel)
            losses["contrast"] = contrastive_loss(vectors, batch.concepts[parallel], self.recipe.temperature)
        return losses

    def total(self, losses: dict[str, Tensor], phase: Phase) -> Tensor:
        """The weighted sum of the losses."""
        return torch.stack([getattr(phase, name) * loss for name, loss in losses.items()]).sum()

    def save(self, directory: Path) -> None:
        """Write trunk, LM head and language head to `directory`, and the tag head to its folder `pos`, in bf16."""
        tensors = _by_stored_name(self.lm) | _by_stored_name(self.language)
        _write(directory, tensors)
        config = self.lm.config.copy(torch_dtype="bfloat16", architectures=[type(self.lm).__name__])
        config.save_pretrained(directory)
        tags = {name: x for name, x in _by_stored_name(self.pos).items() if name.startswith("classifier.")}
        _write(directory / POS_DIRECTORY, tags)
        config = self.pos.config.copy(torch_dtype="bfloat16", architectures=[type(self.pos).__name__])
        config.save_pretrained(directory / POS_DIRECTORY)


def contrastive_loss(vectors_ND: Tensor, concepts_N: Tensor, temperature: float) -> Tensor:
    """Pull each sentence towards its translations and away from the other sentences of the batch.

    Supervised contrastive loss on cosines, with the sum outside of the logarithm (Khosla et al. 2020,
    https://arxiv.org/abs/2004.11362, equation 2).
    """
    unit_ND = F.normalize(vectors_ND.float(), dim=-1)
    itself = torch.eye(len(unit_ND), dtype=torch.bool)
    # At first all vectors are nearly equal, which bf16 cannot resolve.
    with torch.autocast("cpu", enabled=False):
        scores_NN = (unit_ND @ unit_ND.T / temperature).masked_fill(itself, -torch.inf)
    log_probs_NN = scores_NN.log_softmax(dim=-1).masked_fill(itself, 0.0)
    is_same_NN = (concepts_N[:, None] == concepts_N[None, :]) & ~itself
    return -((log_probs_NN * is_same_NN).sum(dim=-1) / is_same_NN.sum(dim=-1).clamp(min=1)).mean()


def _by_stored_name(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def _write(directory: Path, tensors: dict[str, Tensor]) -> None:
    specs = [TensorSpec(name, tuple(x.shape), torch.bfloat16) for name, x in tensors.items()]
    write_checkpoint(directory, specs, tensors.__getitem__)
