"""XLMRobertaXLForMaskedLM against the oracle: logits, loss, gradients, and the blockwise loss."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model import PackedBatch, XLMRobertaXLConfig, XLMRobertaXLForMaskedLM
from model.layers.loss import vocab_parallel_nll
from model.tokenizer.special_tokens import IGNORE_INDEX
from tests.oracle import (
    assert_close,
    assert_same_gradients,
    assert_same_output,
    oracle_of,
    padded_batch,
    random_ids,
    randomize,
)
from tests.packing import pack

TINY = {
    "vocab_size": 123,
    "hidden_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 5,
    "intermediate_size": 70,
    "max_position_embeddings": 40,
}
LENGTHS = [9, 4, 17]


def masked_lm(**options: Any) -> XLMRobertaXLForMaskedLM:
    model = XLMRobertaXLForMaskedLM(XLMRobertaXLConfig(**TINY | options)).eval()
    randomize(model)
    return model


def some_labels(input_ids: Tensor, mask: Tensor) -> Tensor:
    """The token itself at every third position, else -100."""
    chosen = (torch.arange(input_ids.numel()).view(input_ids.shape) % 3 == 0) & mask.bool()
    return torch.where(chosen, input_ids, IGNORE_INDEX)


@pytest.mark.parametrize("tie_word_embeddings", [True, False])
@pytest.mark.parametrize("return_dict", [True, False])
def test_logits_and_loss(tie_word_embeddings: bool, return_dict: bool) -> None:
    model = masked_lm(tie_word_embeddings=tie_word_embeddings)
    assert (model.lm_head.decoder.weight is model.roberta.embeddings.word_embeddings.weight) == tie_word_embeddings
    input_ids, mask = padded_batch(model.config, LENGTHS)
    arguments = {
        "input_ids": input_ids,
        "attention_mask": mask,
        "labels": some_labels(input_ids, mask),
        "output_hidden_states": True,
        "output_attentions": True,
        "return_dict": return_dict,
    }
    oracle = oracle_of(model)
    assert_same_output(model(**arguments), oracle(**arguments))
    del arguments["labels"]
    assert_same_output(model(**arguments), oracle(**arguments))


@pytest.mark.parametrize("tie_word_embeddings", [True, False])
def test_gradients(tie_word_embeddings: bool) -> None:
    model = masked_lm(tie_word_embeddings=tie_word_embeddings)
    oracle = oracle_of(model)
    input_ids, mask = padded_batch(model.config, LENGTHS)
    for m in (model, oracle):
        m(input_ids, mask, labels=some_labels(input_ids, mask)).loss.backward()
    assert_same_gradients(model, oracle)
    assert model.lm_head.decoder.bias.grad is not None


def test_gradients_through_the_logits() -> None:
    model = masked_lm()
    oracle = oracle_of(model)
    input_ids = random_ids(model.config, 2, 5)
    for m in (model, oracle):
        out = m(input_ids, labels=input_ids)
        (out.loss + F.softmax(out.logits, dim=-1)[..., 7].sum()).backward()
    assert_same_gradients(model, oracle)


def test_packed_loss_and_gradients_equal_padded() -> None:
    model, other = masked_lm(), masked_lm()
    input_ids, mask = padded_batch(model.config, LENGTHS)
    labels = some_labels(input_ids, mask)
    loss = model(input_ids, mask, labels=labels).loss
    loss.backward()
    packed_loss = other.forward_packed(pack(input_ids, mask, pad_token_id=1), labels[mask.bool()])
    packed_loss.backward()
    assert_close(packed_loss, loss)
    assert_same_gradients(other, model)


@pytest.mark.parametrize("block_size", [1, 7, 50, 122, 123, 8192])
def test_blockwise_loss_equals_full_logits(block_size: int) -> None:
    model = masked_lm()
    head = model.lm_head
    hidden = torch.randn(11, 40)
    labels = torch.tensor([0, 122, 50, 49, IGNORE_INDEX, 7, 6, 121, 1, IGNORE_INDEX, 100])
    with torch.inference_mode():
        logits = oracle_of(model).lm_head(hidden)
        expected = F.cross_entropy(logits, labels, reduction="none", ignore_index=IGNORE_INDEX)
        nll = vocab_parallel_nll(
            head.transform(hidden), head.decoder.weight, head.decoder.bias, labels, model.group,
            head.decoder.shards["weight"], block_size=block_size,
        )  # fmt: skip
    assert_close(nll, expected, tolerance=1e-5)


def test_blockwise_loss_survives_extreme_logits() -> None:
    model = masked_lm()
    with torch.no_grad():
        model.lm_head.decoder.bias.mul_(2000)
    hidden, labels = torch.randn(4, 40), torch.tensor([0, 60, 90, 122])
    with torch.inference_mode():
        expected = F.cross_entropy(oracle_of(model).lm_head(hidden), labels, reduction="none")
        assert_close(model.lm_head.nll(hidden, labels), expected)
    assert expected.max() > 200


def test_all_labels_ignored_gives_nan_as_the_oracle() -> None:
    model = masked_lm()
    input_ids = random_ids(model.config, 2, 5)
    labels = torch.full_like(input_ids, IGNORE_INDEX)
    batch = PackedBatch.from_lengths(input_ids.view(-1), [5, 5], pad_token_id=1)
    with torch.inference_mode():
        assert oracle_of(model)(input_ids, labels=labels).loss.isnan()
        assert model(input_ids, labels=labels).loss.isnan()
        assert model.forward_packed(batch, labels.view(-1)).isnan()
        assert torch.equal(model.lm_head.nll(torch.randn(3, 40), labels.view(-1)[:3]), torch.zeros(3))


def test_bf16_logits_and_losses_are_fp32_and_near() -> None:
    model, half = masked_lm(), masked_lm().to(torch.bfloat16)
    input_ids, mask = padded_batch(model.config, LENGTHS)
    labels = some_labels(input_ids, mask)
    with torch.inference_mode():
        expected, found = model(input_ids, mask, labels=labels), half(input_ids, mask, labels=labels)
        hidden = half.roberta.forward_packed(pack(input_ids, mask, pad_token_id=1))
        nll = half.lm_head.nll(hidden, labels[mask.bool()])
    assert found.logits.dtype == found.loss.dtype == nll.dtype == torch.float32
    assert abs(found.loss - expected.loss) < 0.02 * expected.loss
    assert abs(nll.sum() / (labels != IGNORE_INDEX).sum() - expected.loss) < 0.02 * expected.loss
    # bf16 logits would be multiples of a power of two; fp32 ones are not.
    assert not torch.equal(found.logits, found.logits.bfloat16().float())
