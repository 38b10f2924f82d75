"""The model on one packed batch of each scenario: trunk plain and fused, and heads on it."""

import copy
from dataclasses import dataclass

import numpy as np
import torch

from model import PackedBatch, ShardGroup, XLMRobertaXLConfig, XLMRobertaXLForMaskedLM, XLMRobertaXLModel
from model.heads import ClassificationHead, LMHead, pool_mean
from pipeline.batching import plan_batches
from pipeline.speed.flops import projection_flops, trunk_flops
from pipeline.speed.timing import Case

MASK_SHARE = 0.15
HEADS = "trunk and head"


@dataclass(frozen=True)
class Models:
    """Random weights; the plain trunk shares its embeddings with the fused one."""

    config: XLMRobertaXLConfig
    plain: XLMRobertaXLModel | None
    fused: XLMRobertaXLModel
    lm_head: LMHead
    classifier: ClassificationHead


def build_models(
    config: XLMRobertaXLConfig,
    dtype: torch.dtype,
    device: str,
    *,
    with_plain: bool,
    group: ShardGroup | None = None,
) -> Models:
    """A masked language model with random weights, its trunk fused, beside a plain copy of its layers."""
    torch.manual_seed(0)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        model = XLMRobertaXLForMaskedLM(config, group=group).eval().to(device)
        classifier = ClassificationHead(config).eval().to(device)
    finally:
        torch.set_default_dtype(usual)
    fused = model.roberta
    plain = None
    if with_plain:
        embeddings = fused.embeddings
        plain = copy.deepcopy(fused, {id(embeddings): embeddings})
    fused.fuse()
    return Models(config, plain, fused, model.lm_head, classifier)


def first_batch(lengths: list[int], token_budget: int, config: XLMRobertaXLConfig, device: str) -> PackedBatch:
    """What the pipeline makes of these sequences: the first batch, longest first; the ids are random."""
    ordered = [lengths[i] for i in plan_batches(np.asarray(lengths), token_budget)[0]]
    ids = torch.randint(4, config.vocab_size, (sum(ordered),), generator=torch.Generator().manual_seed(0))
    return PackedBatch.from_lengths(ids, ordered, pad_token_id=config.pad_token_id, device=device)


def trunk_cases(scenario: str, models: Models, batch: PackedBatch) -> list[Case]:
    """The fused trunk, and the plain one where there is one."""
    num_tokens, flops = len(batch.input_ids), trunk_flops(models.config, batch.lengths)

    def run(trunk: XLMRobertaXLModel) -> None:
        with torch.inference_mode():
            trunk.forward_packed(batch)

    cases = [Case(f"{scenario}: trunk", lambda: run(models.fused), num_tokens, flops, "trunk")]
    plain = models.plain
    if plain is not None:
        name = f"{scenario}: trunk, plain layers"
        cases.append(Case(name, lambda: run(plain), num_tokens, flops, "trunk", cases[0].name))
    return cases


def head_cases(scenario: str, models: Models, batch: PackedBatch) -> list[Case]:
    """Trunk and head together, in relation to the trunk alone."""
    num_tokens, flops = len(batch.input_ids), trunk_flops(models.config, batch.lengths)
    device = batch.input_ids.device
    generator = torch.Generator().manual_seed(1)
    num_masks = max(1, round(MASK_SHARE * num_tokens))
    masked = torch.randperm(num_tokens, generator=generator)[:num_masks].sort().values.to(device)
    labels = torch.randint(4, models.config.vocab_size, (num_masks,), generator=generator).to(device)
    all_sequences = torch.arange(batch.num_sequences)

    @torch.inference_mode()
    def embedding() -> torch.Tensor:
        return pool_mean(models.fused.forward_packed(batch), batch, all_sequences)

    @torch.inference_mode()
    def classification() -> torch.Tensor:
        return models.classifier(models.fused.forward_packed(batch)[batch.first_positions])

    @torch.inference_mode()
    def masked_lm_loss() -> torch.Tensor:
        return models.lm_head.nll(models.fused.forward_packed(batch)[masked], labels)

    projection = projection_flops(models.config, num_masks)
    return [
        Case(f"{scenario}: {name}", run, num_tokens, flops + more, HEADS, f"{scenario}: trunk")
        for name, run, more in (
            ("embedding", embedding, 0),
            ("classification", classification, 0),
            ("masked-lm-loss", masked_lm_loss, projection),
        )
    ]
