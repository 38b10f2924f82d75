"""Under autocast logits and losses are fp32, nearer to those without it than the oracle's, and have a gradient."""

from typing import Any

import pytest
import torch
from torch import Tensor

import model
from model import XLMRobertaXLConfig
from model.tokenizer.special_tokens import IGNORE_INDEX
from tests.oracle import oracle_of, padded_batch, randomize
from tests.packing import pack
from tests.random_cases import CLASSES

CONFIG = XLMRobertaXLConfig(
    vocab_size=300, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96,
    max_position_embeddings=60,
)  # fmt: skip
LENGTHS = [9, 17, 4, 20]
HEADS = CLASSES[1:]
HALVES = [torch.bfloat16, torch.float16]


def model_of(class_name: str, seed: int = 0) -> Any:
    built = getattr(model, class_name)(CONFIG.copy(is_decoder=class_name.endswith("CausalLM"))).eval()
    randomize(built, seed=seed)
    return built


def arguments_of(class_name: str, seed: int) -> dict[str, Tensor]:
    ids, mask = padded_batch(CONFIG, LENGTHS, seed=seed)
    inputs = {"input_ids": ids, "attention_mask": mask}
    match class_name.removeprefix("XLMRobertaXLFor"):
        case "MaskedLM" | "CausalLM":
            return inputs | {"labels": ids.masked_fill(mask == 0, IGNORE_INDEX)}
        case "TokenClassification":
            return inputs | {"labels": ids % 2}
        case "QuestionAnswering":
            ends = {"start_positions": torch.tensor([1, 2, 3, 0]), "end_positions": torch.tensor([1, 2, 3, 50])}
            return inputs | ends
        case "MultipleChoice":
            return {k: v.unflatten(0, (2, 2)) for k, v in inputs.items()} | {"labels": torch.tensor([0, 1])}
    return inputs | {"labels": torch.tensor([0, 1, 1, 0])}


def logits_of(output: Any) -> Tensor:
    return torch.stack([value for name, value in output.items() if name.endswith("logits")])


def gradient_of(built: Any) -> Tensor:
    named = sorted(built.named_parameters())
    return torch.cat([p.grad.flatten() for _, p in named if p.grad is not None])


def errors(class_name: str, dtype: torch.dtype, seed: int) -> Tensor:
    """Mean error of logits and of gradients, ours and theirs, `[2, 2]`."""
    ours, arguments = model_of(class_name, seed), arguments_of(class_name, seed)
    theirs = oracle_of(ours)
    exact = ours(**arguments)
    exact.loss.backward()
    exact_gradient = gradient_of(ours)
    ours.zero_grad()
    found = []
    for built in (ours, theirs):
        with torch.autocast("cpu", dtype):
            output = built(**arguments)
        assert output.loss.dtype == torch.float32
        assert built is theirs or logits_of(output).dtype == torch.float32
        output.loss.backward()
        states = logits_of(output), gradient_of(built)
        pairs = zip(states, (logits_of(exact), exact_gradient), strict=True)
        found.append([(a.float() - b).abs().mean().item() for a, b in pairs])
    return torch.tensor(found)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("class_name", HEADS)
def test_logits_and_losses(class_name: str, dtype: torch.dtype) -> None:
    ours, theirs = torch.stack([errors(class_name, dtype, seed) for seed in range(6)]).mean(dim=0)
    assert 0 < ours[0] < theirs[0]
    assert 0 < ours[1] < 1.05 * theirs[1]


@pytest.mark.parametrize("dtype", HALVES)
def test_packed_losses(dtype: torch.dtype) -> None:
    ids, mask = padded_batch(CONFIG, LENGTHS)
    batch, built = pack(ids, mask, pad_token_id=1), model_of("XLMRobertaXLForMaskedLM")
    exact = built.forward_packed(batch, batch.input_ids)
    with torch.autocast("cpu", dtype):
        loss = built.forward_packed(batch, batch.input_ids)
        with torch.no_grad():
            nll = built.lm_head.nll(built.roberta.forward_packed(batch), batch.input_ids)
    assert loss.dtype == nll.dtype == torch.float32
    assert exact != loss
    assert loss.item() == pytest.approx(exact.item(), abs=0.02)
    assert nll.mean().item() == pytest.approx(exact.item(), abs=0.02)
    loss.backward()
    assert built.lm_head.decoder.weight.grad.isfinite().all()


def test_a_model_in_bf16_is_the_same_with_and_without() -> None:
    """Its fast ways on a CPU multiply fp32 matrices, which autocast would round."""
    ids, mask = padded_batch(CONFIG, [40, 33, 50])
    batch, built = pack(ids, mask, pad_token_id=1), model_of("XLMRobertaXLForMaskedLM").bfloat16()
    results = []
    for is_on in (False, True):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=is_on):
            hidden = built.roberta.forward_packed(batch)
            results.append(
                (hidden, built.lm_head.nll(hidden, batch.input_ids), built.lm_head.local_logits(hidden))
            )
    for with_it, without in zip(*results, strict=True):
        assert torch.equal(with_it, without)


def test_float64_stays_float64() -> None:
    built, arguments = model_of("XLMRobertaXLForMaskedLM").double(), arguments_of("XLMRobertaXLForMaskedLM", 0)
    exact = built(**arguments)
    with torch.autocast("cpu", torch.bfloat16):
        found = built(**arguments)
    assert torch.equal(found.logits, exact.logits)
    assert torch.equal(found.loss, exact.loss)
    assert found.loss.dtype == torch.float64
