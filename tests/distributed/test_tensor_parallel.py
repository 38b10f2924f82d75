"""Tensor parallelism over 2 and 4 real ranks gives the numbers of one: outputs, losses and gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from model import (
    ShardGroup,
    XLMRobertaXLConfig,
    XLMRobertaXLForMaskedLM,
    XLMRobertaXLForSequenceClassification,
    XLMRobertaXLModel,
)
from model.tokenizer.special_tokens import IGNORE_INDEX
from tests.checkpoints import write_random_checkpoint
from tests.distributed.processes import run_on_ranks
from tests.distributed.slices import assert_same_sliced_gradients
from tests.oracle import assert_close, padded_batch
from tests.packing import pack

LENGTHS = [9, 4, 17, 1]
# Neither the vocabulary, nor the heads, nor the intermediate size divide by the number of ranks.
GEOMETRIES = {
    2: {"vocab_size": 123, "hidden_size": 40, "num_attention_heads": 5, "intermediate_size": 71},
    4: {"vocab_size": 123, "hidden_size": 56, "num_attention_heads": 7, "intermediate_size": 70},
}


def checkpoint(directory: Path, num_ranks: int, **options: Any) -> Path:
    config = XLMRobertaXLConfig(
        num_hidden_layers=2, max_position_embeddings=40, num_labels=3, **GEOMETRIES[num_ranks] | options
    )
    heads = frozenset({"lm_head", "classifier", "pooler"})
    return write_random_checkpoint(directory, config, heads=heads, std=0.15)


def both(cls: Any, directory: Path, group: ShardGroup, **options: Any) -> tuple[Any, Any]:
    """The model on one rank, and this rank's part of it."""
    return cls.from_pretrained(directory, **options), cls.from_pretrained(directory, group=group, **options)


def batch_with_labels(config: XLMRobertaXLConfig) -> tuple[Tensor, Tensor, Tensor]:
    input_ids, mask = padded_batch(config, LENGTHS)
    chosen = (torch.arange(input_ids.numel()).view(input_ids.shape) % 3 == 0) & mask.bool()
    return input_ids, mask, torch.where(chosen, input_ids, IGNORE_INDEX)


def _trunk(group: ShardGroup, directory: Path) -> None:
    whole, sharded = both(XLMRobertaXLModel, directory, group)
    input_ids, mask, _ = batch_with_labels(whole.config)
    options: dict[str, Any] = {"output_attentions": True, "output_hidden_states": True}
    with torch.inference_mode():
        expected, found = whole(input_ids, mask, **options), sharded(input_ids, mask, **options)
        assert found.attentions[0].shape[1] == whole.config.num_attention_heads
        assert_close(found.to_tuple(), expected.to_tuple())
        head_mask = torch.rand(2, whole.config.num_attention_heads, generator=torch.Generator().manual_seed(3))
        assert_close(
            sharded(input_ids, mask, head_mask=head_mask)[0], whole(input_ids, mask, head_mask=head_mask)[0]
        )
        batch = pack(input_ids, mask, pad_token_id=1)
        assert_close(sharded.forward_packed(batch), whole.forward_packed(batch))
        assert_close(sharded.forward_packed(batch), expected[0][mask.bool()])


def _relative_positions(group: ShardGroup, directory: Path) -> None:
    whole, sharded = both(XLMRobertaXLModel, directory, group)
    input_ids, mask, _ = batch_with_labels(whole.config)
    for model in (whole, sharded):
        model(input_ids, mask)[0].square().mean().backward()
    assert_close(sharded(input_ids, mask)[0], whole(input_ids, mask)[0])
    assert_same_sliced_gradients(sharded, whole)


def _decoder(group: ShardGroup, directory: Path) -> None:
    whole, sharded = both(XLMRobertaXLModel, directory, group)
    input_ids, mask, _ = batch_with_labels(whole.config)
    with torch.inference_mode():
        expected = whole(input_ids, mask)
        start = sharded(input_ids[:, :10], mask[:, :10])
        start_head, stop_head = group.bounds(whole.config.num_attention_heads)
        assert_close(start.past_key_values[0][0], expected.past_key_values[0][0][:, start_head:stop_head, :10])
        position_ids = (mask.cumsum(1) * mask + 1)[:, 10:]
        rest = sharded(
            input_ids[:, 10:], mask, position_ids=position_ids, past_key_values=start.past_key_values
        )  # fmt: skip
        assert_close(rest[0], expected[0][:, 10:])
        batch = pack(input_ids, mask, pad_token_id=1)
        assert_close(sharded.forward_packed(batch), whole.forward_packed(batch))


def _masked_lm(group: ShardGroup, directory: Path) -> None:
    whole, sharded = both(XLMRobertaXLForMaskedLM, directory, group)
    input_ids, mask, labels = batch_with_labels(whole.config)
    expected, found = whole(input_ids, mask, labels=labels), sharded(input_ids, mask, labels=labels)
    assert found.logits.shape[-1] == whole.config.vocab_size
    assert_close(found.to_tuple(), expected.to_tuple())
    # Both ways to the loss at once: vocabulary-parallel, and through the gathered logits.
    for out in (expected, found):
        (out.loss + out.logits.log_softmax(-1)[..., 100].mean()).backward()
    assert_same_sliced_gradients(sharded, whole)
    batch = pack(input_ids, mask, pad_token_id=1)
    packed_labels = labels[mask.bool()]
    for model in (whole, sharded):
        model.zero_grad()
        model.forward_packed(batch, packed_labels).backward()
    assert_same_sliced_gradients(sharded, whole)
    with torch.inference_mode():
        hidden = whole.roberta.forward_packed(batch)
        nll = sharded.lm_head.nll(hidden, packed_labels)
        assert_close(nll, whole.lm_head.nll(hidden, packed_labels))
        assert_close(nll.sum() / (packed_labels != IGNORE_INDEX).sum(), expected.loss.detach())


def _sequence_classification(group: ShardGroup, directory: Path) -> None:
    whole, sharded = both(XLMRobertaXLForSequenceClassification, directory, group)
    input_ids, mask, _ = batch_with_labels(whole.config)
    labels = torch.tensor([2, 0, 1, 1])
    expected, found = whole(input_ids, mask, labels=labels), sharded(input_ids, mask, labels=labels)
    assert_close(found.to_tuple(), expected.to_tuple())
    expected.loss.backward()
    found.loss.backward()
    assert_same_sliced_gradients(sharded, whole)
    with torch.inference_mode():
        batch = pack(input_ids, mask, pad_token_id=1)
        assert_close(sharded.forward_packed(batch), expected.logits.detach())


@pytest.mark.parametrize("num_ranks", [2, 4])
def test_trunk(tmp_path: Path, num_ranks: int) -> None:
    run_on_ranks(num_ranks, _trunk, checkpoint(tmp_path, num_ranks))


@pytest.mark.parametrize("num_ranks", [2, 4])
def test_relative_positions(tmp_path: Path, num_ranks: int) -> None:
    directory = checkpoint(tmp_path, num_ranks, position_embedding_type="relative_key_query")
    run_on_ranks(num_ranks, _relative_positions, directory)


@pytest.mark.parametrize("num_ranks", [2, 4])
def test_decoder_with_cache(tmp_path: Path, num_ranks: int) -> None:
    run_on_ranks(num_ranks, _decoder, checkpoint(tmp_path, num_ranks, is_decoder=True))


@pytest.mark.parametrize("tie_word_embeddings", [True, False])
@pytest.mark.parametrize("num_ranks", [2, 4])
def test_masked_lm(tmp_path: Path, num_ranks: int, tie_word_embeddings: bool) -> None:
    run_on_ranks(num_ranks, _masked_lm, checkpoint(tmp_path, num_ranks, tie_word_embeddings=tie_word_embeddings))


@pytest.mark.parametrize("num_ranks", [2, 4])
def test_sequence_classification(tmp_path: Path, num_ranks: int) -> None:
    run_on_ranks(num_ranks, _sequence_classification, checkpoint(tmp_path, num_ranks))
