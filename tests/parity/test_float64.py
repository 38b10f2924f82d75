"""A float64 model computes in float64 throughout: as exactly as the oracle's, and its gradients pass gradcheck."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

import model
from model import PackedBatch, ShardGroup, XLMRobertaXLConfig
from model.layers.heads import pool_max, pool_mean
from model.layers.vocab_top_k import vocab_parallel_top_k
from model.tokenizer.special_tokens import IGNORE_INDEX
from tests.oracle import assert_same_output, oracle_of, padded_batch, randomize
from tests.packing import pack
from tests.random_cases import CLASSES, CaseGenerator

# fp32 would be off by 1e-6 and more.
TOLERANCE = 1e-12
CONFIG = XLMRobertaXLConfig(
    vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12,
    max_position_embeddings=16, num_labels=2,
)  # fmt: skip
LENGTHS = [4, 1, 3]


def model_of(class_name: str, **changes: Any) -> Any:
    built = getattr(model, class_name)(CONFIG.copy(**changes)).double().eval()
    randomize(built)
    return built


def doubled(value: Any) -> Any:
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


@pytest.mark.filterwarnings("ignore:`return_dict_in_generate`")
@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("class_name", CLASSES)
def test_outputs_are_those_of_the_oracle(class_name: str, number: int) -> None:
    case = CaseGenerator(class_name, 2000 + number).case()
    arguments = {name: doubled(value) for name, value in case.arguments.items()}
    ours = case.model().double()
    output = ours(**arguments)
    assert {x.dtype for x in pytree.tree_leaves(output) if isinstance(x, Tensor)} == {torch.float64}
    assert_same_output(output, oracle_of(ours)(**arguments), tolerance=TOLERANCE)


LABELS = {
    "XLMRobertaXLModel": {},
    "XLMRobertaXLForMaskedLM": {"labels": torch.tensor([[5, IGNORE_INDEX, 29]])},
    "XLMRobertaXLForCausalLM": {"labels": torch.tensor([[5, IGNORE_INDEX, 29]])},
    "XLMRobertaXLForSequenceClassification": {"labels": torch.tensor([1])},
    "XLMRobertaXLForMultipleChoice": {"labels": torch.tensor([1])},
    "XLMRobertaXLForTokenClassification": {"labels": torch.tensor([[1, 0, IGNORE_INDEX]])},
    "XLMRobertaXLForQuestionAnswering": {"start_positions": torch.tensor([1]), "end_positions": torch.tensor([2])},
}


@pytest.mark.parametrize("class_name", CLASSES)
def test_gradients_of_states_and_losses(class_name: str) -> None:
    built = model_of(class_name, is_decoder=class_name == "XLMRobertaXLForCausalLM")
    shape = (1, 2, 3, 8) if class_name == "XLMRobertaXLForMultipleChoice" else (1, 3, 8)
    embeds = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def loss(inputs_embeds: Tensor) -> Tensor:
        output: Tensor = built(inputs_embeds=inputs_embeds, **LABELS[class_name])[0]
        return output

    assert torch.autograd.gradcheck(loss, (embeds.requires_grad_(),))


def test_gradient_of_a_packed_loss() -> None:
    built = model_of("XLMRobertaXLForMaskedLM")
    batch = PackedBatch.from_sequences([[5, 6, 7], [8, 9]], pad_token_id=1)
    labels = torch.tensor([5, IGNORE_INDEX, 29, IGNORE_INDEX, 9])
    shift = torch.randn(5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def loss(shift: Tensor) -> Tensor:
        hook = built.roberta.embeddings.position_embeddings.register_forward_hook(lambda *call: call[-1] + shift)
        with hook:
            result: Tensor = built.forward_packed(batch, labels)
        return result

    assert torch.autograd.gradcheck(loss, (shift,))


def test_packed_heads_are_those_of_the_oracle() -> None:
    built = model_of("XLMRobertaXLForMaskedLM")
    input_ids, mask = padded_batch(CONFIG, LENGTHS)
    batch = pack(input_ids, mask, pad_token_id=1)
    output = oracle_of(built)(input_ids, mask, output_hidden_states=True)
    states, logits = output.hidden_states[-1], output.logits[mask.bool()]
    log_probs = logits.log_softmax(dim=-1)
    expected = {
        "states": states[mask.bool()],
        "nll": -log_probs.gather(1, batch.input_ids[:, None]).squeeze(1),
        "log probabilities": log_probs.topk(3).values,
        "mean": torch.stack([s[:n].mean(dim=0) for s, n in zip(states, LENGTHS, strict=True)]),
        "max": torch.stack([s[:n].amax(dim=0) for s, n in zip(states, LENGTHS, strict=True)]),
    }
    head, decoder = built.lm_head, built.lm_head.decoder
    for is_fused in (False, True):
        if is_fused:
            built.roberta.fuse()
        with torch.no_grad():
            states_TD = built.roberta.forward_packed(batch)
            top = vocab_parallel_top_k(
                head.transform(states_TD), decoder.weight, decoder.bias, ShardGroup(), decoder.shards["weight"],
                k=3, num_usable=30,
            )  # fmt: skip
            found = {
                "states": states_TD,
                "nll": head.nll(states_TD, batch.input_ids),
                "log probabilities": top[1],
                "mean": pool_mean(states_TD, batch, torch.arange(3)),
                "max": pool_max(states_TD, batch, torch.arange(3)),
            }
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=TOLERANCE, atol=TOLERANCE, msg=name)


def test_beams_whose_scores_fp32_cannot_tell_apart() -> None:
    """The best of all 36 continuations of two tokens; the oracle's own scores of beams are fp32."""
    built = model_of("XLMRobertaXLForCausalLM", is_decoder=True, vocab_size=6, eos_token_id=None)
    with torch.no_grad():
        built.lm_head.decoder.weight.mul_(1e-9)
        built.lm_head.bias.zero_()
    prompt = torch.tensor([[0, 4, 2]])
    continuations = torch.cartesian_prod(torch.arange(6), torch.arange(6))
    rows = torch.cat([prompt.expand(36, -1), continuations], dim=1)
    with torch.no_grad():
        log_probs = built(rows).logits.log_softmax(dim=-1)[:, 2:4]
    scores = log_probs.gather(2, continuations[..., None]).sum(dim=(1, 2))
    assert scores.max() - scores.min() < 1e-7
    found = built.generate(prompt, max_new_tokens=2, num_beams=6)
    assert torch.equal(found[0], rows[scores.argmax()])
