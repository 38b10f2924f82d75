"""Dropout: rates, scaling, reproducible masks, and gradient checkpointing that finds the same masks again."""

from typing import Any

import pytest
import torch

from model import (
    XLMRobertaXLConfig,
    XLMRobertaXLForMaskedLM,
    XLMRobertaXLForMultipleChoice,
    XLMRobertaXLForSequenceClassification,
    XLMRobertaXLForTokenClassification,
)
from model.layers.dropout import DropoutSeed, dropout, dropout_heads
from tests.oracle import assert_close, oracle_of, padded_batch, random_ids, randomize
from tests.packing import pack

CONFIG = XLMRobertaXLConfig(
    vocab_size=60, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, intermediate_size=32,
    max_position_embeddings=20, hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.3,
)  # fmt: skip
SEED = DropoutSeed(5)


def model_of(cls: Any, **changes: Any) -> Any:
    model = cls(CONFIG.copy(**changes))
    randomize(model)
    return model.train()


def test_rate_and_scale() -> None:
    x = torch.ones(200, 500)
    y = dropout(x, 0.3, SEED)
    assert set(y.unique().tolist()) == {0.0, (torch.tensor(1.0) / 0.7).item()}
    assert (y == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert y.mean().item() == pytest.approx(1.0, abs=0.02)
    assert dropout(x, 0.3, None) is x
    assert dropout(x, 0.0, SEED) is x


def test_the_mask_follows_from_the_seed_alone() -> None:
    x = torch.ones(50, 40)
    torch.manual_seed(1)
    first = dropout(x, 0.5, SEED)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(dropout(x, 0.5, DropoutSeed(5)), first)
    assert torch.equal(torch.get_rng_state(), state), "the default generator must be left alone"
    others = [SEED.child(0), SEED.child(1), SEED.child("0x"), SEED.child(0).child(0), DropoutSeed(6)]
    masks = [first, *(dropout(x, 0.5, seed) for seed in others)]
    for i, mask in enumerate(masks):
        for other in masks[:i]:
            assert (mask != other).float().mean() > 0.4


def test_heads_keep_their_masks_wherever_they_live() -> None:
    x = torch.ones(3, 4, 6, 7)
    whole = dropout_heads(x, 0.4, SEED, [0, 1, 2, 3])
    assert torch.equal(dropout_heads(x[:, 1:3], 0.4, SEED, [1, 2]), whole[:, 1:3])
    assert not torch.equal(whole[:, 0], whole[:, 1])
    assert dropout_heads(x, 0.4, None, [0, 1, 2, 3]) is x


def test_gradient_passes_where_nothing_is_dropped() -> None:
    x = torch.ones(30, 40, requires_grad=True)
    y = dropout(x, 0.25, SEED)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach())


def test_training_follows_the_default_generator_and_eval_does_not() -> None:
    model = model_of(XLMRobertaXLForSequenceClassification)
    ids = random_ids(CONFIG, 2, 7)
    outputs = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        outputs.append(model(ids).logits)
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
    assert not torch.equal(model(ids).logits, model(ids).logits), "every pass has new masks"
    expected = oracle_of(model.eval())(ids).logits
    state = torch.get_rng_state()
    assert_close(model(ids).logits, expected)
    assert torch.equal(torch.get_rng_state(), state)


PROBABILITIES = ["hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"]


@pytest.mark.parametrize("place", PROBABILITIES)
def test_each_probability_acts_in_its_place(place: str) -> None:
    zero: dict[str, Any] = {**dict.fromkeys(PROBABILITIES, 0.0), "output_hidden_states": True}
    zero["output_attentions"] = True
    ids = random_ids(CONFIG, 2, 7)
    plain = model_of(XLMRobertaXLForTokenClassification, **zero)(ids)
    found = model_of(XLMRobertaXLForTokenClassification, **zero | {place: 0.5})(ids)
    dropped = {
        "hidden_dropout_prob": not torch.equal(found.hidden_states[0], plain.hidden_states[0]),
        "attention_probs_dropout_prob": bool((found.attentions[0] == 0).any()),
        "classifier_dropout": torch.equal(found.hidden_states[-1], plain.hidden_states[-1])
        and not torch.equal(found.logits, plain.logits),
    }
    assert dropped == {name: name == place for name in PROBABILITIES}


@pytest.mark.parametrize("packed", [False, True])
def test_every_place_has_a_mask_of_its_own(packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    original = DropoutSeed.mask

    def mask(self: DropoutSeed, shape: torch.Size, probability: float, like: torch.Tensor) -> torch.Tensor:
        used.append(self.value)
        return original(self, shape, probability, like)

    monkeypatch.setattr(DropoutSeed, "mask", mask)
    model = model_of(XLMRobertaXLForSequenceClassification, is_decoder=True)
    ids, attention_mask = padded_batch(CONFIG, [7, 3])
    if packed:
        model.forward_packed(pack(ids, attention_mask, pad_token_id=1))
        # Embeddings, a residual branch in each of three layers, twice in the head.
        assert len(used) == 1 + 3 + 2
    else:
        model(ids, attention_mask)
        assert len(used) == 1 + 3 * (1 + 4) + 2
    assert len(set(used)) == len(used)


def test_without_dropout_training_equals_the_oracle() -> None:
    zero = dict.fromkeys(PROBABILITIES, 0.0)
    model = model_of(XLMRobertaXLForSequenceClassification, **zero)
    ids = random_ids(CONFIG, 2, 7)
    assert_close(model(ids).logits, oracle_of(model).train()(ids).logits)


def test_the_mean_over_many_passes_is_near_eval() -> None:
    model = model_of(XLMRobertaXLForMultipleChoice, hidden_dropout_prob=0.05, attention_probs_dropout_prob=0.05)
    ids = random_ids(CONFIG, 1, 3, 7)
    torch.manual_seed(0)
    with torch.inference_mode():
        mean = torch.stack([model(ids).logits for _ in range(60)]).mean(0)
        expected = model.eval()(ids).logits
    assert (mean - expected).abs().max() < 0.25


@pytest.mark.parametrize("packed", [False, True])
def test_gradient_checkpointing_changes_no_number(packed: bool) -> None:
    ids, mask = padded_batch(CONFIG, [7, 3])
    batch = pack(ids, mask, pad_token_id=1)
    grads, losses = [], []
    for is_on in (False, True):
        model = model_of(XLMRobertaXLForMaskedLM)
        assert not model.is_gradient_checkpointing
        if is_on:
            model.gradient_checkpointing_enable()
            assert model.is_gradient_checkpointing
        torch.manual_seed(3)
        loss = model.forward_packed(batch, batch.input_ids) if packed else model(ids, mask, labels=ids).loss
        # What happens to the default generator in between must not matter.
        torch.randn(7)
        loss.backward()
        losses.append(loss)
        grads.append({name: p.grad for name, p in model.named_parameters()})
    assert torch.equal(losses[0], losses[1])
    for name, grad in grads[0].items():
        assert torch.equal(grad, grads[1][name]), name


def test_gradient_checkpointing_keeps_less() -> None:
    num_bytes = []
    for is_on in (False, True):
        model = model_of(XLMRobertaXLForMaskedLM)
        if is_on:
            model.gradient_checkpointing_enable()
        total = 0

        def count(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal total
            total += tensor.numel() * tensor.element_size()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            model(random_ids(CONFIG, 4, 15))
        num_bytes.append(total)
    assert num_bytes[1] < num_bytes[0] / 3


def test_gradient_checkpointing_can_be_switched_off() -> None:
    model = model_of(XLMRobertaXLForMaskedLM, is_decoder=True)
    model.gradient_checkpointing_enable()
    ids = random_ids(CONFIG, 2, 5)
    assert "past_key_values" not in model.roberta(ids), "recomputing layers and caching exclude each other"
    model.gradient_checkpointing_disable()
    assert not model.is_gradient_checkpointing
    assert "past_key_values" in model.roberta(ids)
