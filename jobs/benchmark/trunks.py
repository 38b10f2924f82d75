"""Measure one packed batch of each scenario: the trunk plain, fused and quantized, and heads on it."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from jobs.benchmark.flops import projection_flops, trunk_flops
from jobs.benchmark.timing import Case
from model import PackedBatch, ShardGroup, XLMRobertaXLConfig, XLMRobertaXLForMaskedLM, XLMRobertaXLModel
from model.checkpoints.parameters import parameters_of, place_parameter
from model.inference.layer_reader import LayerReader
from model.inference.quantization import Quantization
from model.layers.heads import ClassificationHead, LMHead, pool_mean
from model.layers.layer_reads import LayerPooling, LayerRead
from pipeline.batching.token_budget_batches import plan_batches

MASK_SHARE = 0.15
HEADS = "trunk and head"
MIXES = "trunk and mix of all layers"


@dataclass(frozen=True)
class Models:
    """Models with random weights; all trunks share the embeddings of the fused one."""

    config: XLMRobertaXLConfig
    plain: XLMRobertaXLModel | None
    quantized: Mapping[Quantization, XLMRobertaXLModel]
    fused: XLMRobertaXLModel
    lm_head: LMHead
    classifier: ClassificationHead


def build_models(
    config: XLMRobertaXLConfig,
    dtype: torch.dtype,
    device: str,
    *,
    with_plain: bool,
    quantizations: Sequence[Quantization] = (),
    group: ShardGroup | None = None,
) -> Models:
    """A masked language model with random weights and a fused trunk, and other forms of the trunk."""
    torch.manual_seed(0)
    with torch.device("meta"):
        model = XLMRobertaXLForMaskedLM(config, group=group).eval()
        classifier = ClassificationHead(config).eval()
    for module in (model, classifier):
        draw_weights(module, dtype, device)
    fused = model.roberta
    embeddings = fused.embeddings

    def copied() -> XLMRobertaXLModel:
        return copy.deepcopy(fused, {id(embeddings): embeddings})

    quantized = {}
    for quantization in quantizations:
        quantized[quantization] = copied()
        quantized[quantization].fuse(quantization)
    plain = copied() if with_plain else None
    fused.fuse()
    return Models(config, plain, quantized, fused, model.lm_head, classifier)


def draw_weights(module: nn.Module, dtype: torch.dtype, device: str) -> None:
    """Draw the weights of a module on the meta device.

    They are drawn on `device`: for all layers of XL that takes a GPU no time, and a CPU minutes.
    """
    for entry in parameters_of(module):
        owner, attribute, _ = entry.places[0]
        weight = torch.zeros(entry.parameter.shape, dtype=dtype, device=device)
        if isinstance(owner, nn.LayerNorm):
            weight += attribute == "weight"
        elif attribute == "weight":
            weight.normal_(std=0.02)
        place_parameter(entry, weight)


def first_batch(lengths: list[int], token_budget: int, config: XLMRobertaXLConfig, device: str) -> PackedBatch:
    """The first batch that the pipeline makes of these sequences, longest first; the ids are random."""
    ordered = [lengths[i] for i in plan_batches(np.asarray(lengths), token_budget)[0]]
    ids = torch.randint(4, config.vocab_size, (sum(ordered),), generator=torch.Generator().manual_seed(0))
    return PackedBatch.from_lengths(ids, ordered, pad_token_id=config.padding_id, device=device)


def trunk_cases(scenario: str, models: Models, batch: PackedBatch) -> list[Case]:
    """The fused trunk and its other forms, compared with the fused one."""
    num_tokens, flops = len(batch.input_ids), trunk_flops(models.config, batch.lengths)

    def run(trunk: XLMRobertaXLModel) -> None:
        with torch.inference_mode():
            trunk.forward_packed(batch)

    cases = [Case(f"{scenario}: trunk", lambda: run(models.fused), num_tokens, flops, "trunk")]
    others: dict[str, XLMRobertaXLModel] = {f"{name} layers": trunk for name, trunk in models.quantized.items()}
    if models.plain is not None:
        others["plain layers"] = models.plain
    for name, trunk in others.items():
        full_name = f"{scenario}: trunk, {name}"
        cases.append(Case(full_name, partial(run, trunk), num_tokens, flops, "trunk", cases[0].name))
    return cases


def mix_cases(scenario: str, models: Models, batch: PackedBatch) -> list[Case]:
    """Trunk and a mix of all layers together, compared with the trunk alone."""
    num_tokens, flops = len(batch.input_ids), trunk_flops(models.config, batch.lengths)
    num_layers, device = models.config.num_hidden_layers, batch.input_ids.device

    @torch.inference_mode()
    def run(pooling: LayerPooling, is_normalized: bool) -> torch.Tensor:
        read = LayerRead(tuple(range(num_layers + 1)), pooling, "mix", is_normalized)
        num_rows = num_tokens if pooling == "token" else batch.num_sequences
        reader = LayerReader(
            read,
            torch.arange(num_rows, device=device),
            (1 / (num_layers + 1),) * (num_layers + 1),
            hidden_size=models.config.hidden_size,
            dtype=models.fused.dtype,
        )
        models.fused.forward_packed(batch, [reader])
        return reader.rows

    kinds: tuple[tuple[str, tuple[LayerPooling, bool]], ...] = (
        ("mix, <s>", ("cls", False)),
        ("mix, mean", ("mean", False)),
        ("mix, mean, each layer normalised", ("mean", True)),
        ("mix, every token", ("token", False)),
    )
    return [
        Case(f"{scenario}: {name}", partial(run, *kind), num_tokens, flops, MIXES, f"{scenario}: trunk")
        for name, kind in kinds
    ]


def head_cases(scenario: str, models: Models, batch: PackedBatch) -> list[Case]:
    """Trunk and head together, compared with the trunk alone."""
    num_tokens, flops = len(batch.input_ids), trunk_flops(models.config, batch.lengths)
    device = batch.input_ids.device
    generator = torch.Generator().manual_seed(1)
    num_masks = max(1, round(MASK_SHARE * num_tokens))
    masked = torch.randperm(num_tokens, generator=generator)[:num_masks].sort().values.to(device)
    labels = torch.randint(4, models.config.vocab_size, (num_masks,), generator=generator).to(device)
    all_sequences = torch.arange(batch.num_sequences, device=device)

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
