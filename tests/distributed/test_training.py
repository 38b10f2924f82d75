"""Dropout, gradient checkpointing, resizing, pruning and saving give the numbers of one rank."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from model import ShardGroup, XLMRobertaXLConfig, XLMRobertaXLForMaskedLM, XLMRobertaXLForSequenceClassification
from tests.checkpoints import write_random_checkpoint
from tests.distributed.processes import run_on_ranks
from tests.distributed.slices import assert_same_parameters, assert_same_sliced_gradients
from tests.oracle import assert_close, padded_batch

CONFIG = XLMRobertaXLConfig(
    vocab_size=123, hidden_size=56, num_hidden_layers=2, num_attention_heads=7, intermediate_size=70,
    max_position_embeddings=40, num_labels=3, hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.4,
)  # fmt: skip
LABELS = torch.tensor([2, 0, 1])


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_random_checkpoint(tmp_path / "checkpoint", CONFIG, std=0.15)


def both(cls: Any, directory: Path, group: ShardGroup) -> tuple[Any, Any]:
    return cls.from_pretrained(directory), cls.from_pretrained(directory, group=group)


def _train(group: ShardGroup, directory: Path) -> None:
    whole, sharded = both(XLMRobertaXLForSequenceClassification, directory, group)
    input_ids, mask = padded_batch(CONFIG, [9, 4, 17])
    for checkpointing in (False, True):
        losses = []
        for model in (whole, sharded):
            model.train().zero_grad()
            if checkpointing:
                model.gradient_checkpointing_enable()
            # Rank 0's generator counts; one rank alone draws the same numbers from the same seed.
            torch.manual_seed(3 if model is whole else 3 + group.rank)
            output = model(input_ids, mask, labels=LABELS, output_attentions=True)
            output.loss.backward()
            losses.append(output.loss)
            assert (output.attentions[0] == 0).any()
        assert_close(losses[1], losses[0])
        assert_same_sliced_gradients(sharded, whole)
    steps = []
    for model in (whole, sharded):
        torch.optim.SGD(model.parameters(), lr=0.1).step()
        steps.append(model.eval()(input_ids, mask).logits)
    assert_close(steps[1], steps[0])


def _resize_and_prune(group: ShardGroup, directory: Path, tie_word_embeddings: bool) -> None:
    options = {"tie_word_embeddings": tie_word_embeddings}
    torch.manual_seed(0)
    whole = XLMRobertaXLForMaskedLM.from_pretrained(directory, **options)
    torch.manual_seed(0)
    sharded = XLMRobertaXLForMaskedLM.from_pretrained(directory, group=group, **options)
    input_ids, mask = padded_batch(CONFIG, [9, 4, 17])
    for num_tokens in (150, 97):
        for model in (whole, sharded):
            torch.manual_seed(5 if model is whole else 5 + group.rank)
            model.resize_token_embeddings(num_tokens)
        assert_same_parameters(sharded, whole)
        ids = input_ids % num_tokens
        assert_close(sharded(ids, mask).logits, whole(ids, mask).logits)
    for heads in ({0: [0, 6]}, {0: [0, 1, 2], 1: [3]}):
        for model in (whole, sharded):
            model.prune_heads(heads)
        assert_same_parameters(sharded, whole)
    assert len(whole.roberta.encoder.layers[0].attention.self.heads) == 3
    head_mask = torch.linspace(0, 1, 14).view(2, 7)
    outputs = [m(ids, mask, head_mask=head_mask, labels=ids, output_attentions=True) for m in (sharded, whole)]
    assert_close(outputs[0].to_tuple(), outputs[1].to_tuple())
    for output in outputs:
        output.loss.backward()
    assert_same_sliced_gradients(sharded, whole)
    linear = torch.nn.Linear(56, 97)
    for parameter in linear.parameters():
        group.broadcast_(parameter.data)
    for model in (whole, sharded):
        model.set_output_embeddings(linear)
    assert_same_parameters(sharded, whole)
    outputs = [m(ids, mask, labels=ids) for m in (sharded, whole)]
    assert_close(outputs[0].to_tuple(), outputs[1].to_tuple())
    with pytest.raises(ValueError, match=r"over 2 ranks .*, found 1 \(layer 1 after pruning\)"):
        sharded.prune_heads({1: [0, 1, 2, 4, 5]})
    assert sharded.config.pruned_heads[1] == [3]


def _save(group: ShardGroup, directory: Path, out: Path, max_shard_size: str) -> None:
    sharded = XLMRobertaXLForMaskedLM.from_pretrained(directory, group=group)
    if group.size == 2:
        sharded.prune_heads({0: [1, 2]})
    sharded.save_pretrained(out, max_shard_size=max_shard_size)
    # Nobody goes on before all is written.
    whole = XLMRobertaXLForMaskedLM.from_pretrained(out)
    assert_same_parameters(sharded, whole)


def _too_many_ranks(group: ShardGroup, directory: Path) -> None:
    for overrides in ({"num_attention_heads": 2}, {"pruned_heads": {1: [0, 1, 2, 3, 4]}}):
        with pytest.raises(ValueError, match="tensor parallelism over 4 ranks needs at least as many attention"):
            XLMRobertaXLForMaskedLM.from_pretrained(directory, group=group, **overrides)


@pytest.mark.parametrize("num_ranks", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_training_with_dropout(directory: Path, num_ranks: int) -> None:
    run_on_ranks(num_ranks, _train, directory)


@pytest.mark.parametrize("tie_word_embeddings", [True, False])
def test_resizing_and_pruning(directory: Path, tie_word_embeddings: bool) -> None:
    run_on_ranks(2, _resize_and_prune, directory, tie_word_embeddings)


@pytest.mark.parametrize(("num_ranks", "max_shard_size"), [(2, "5GB"), (4, "60KB")])
def test_saving(directory: Path, tmp_path: Path, num_ranks: int, max_shard_size: str) -> None:
    out = tmp_path / "out"
    run_on_ranks(num_ranks, _save, directory, out, max_shard_size)
    ours = XLMRobertaXLForMaskedLM.from_pretrained(out)
    theirs = transformers.XLMRobertaXLForMaskedLM.from_pretrained(out, attn_implementation="eager")
    input_ids, mask = padded_batch(CONFIG, [9, 4, 17])
    with torch.inference_mode():
        logits = ours(input_ids, mask).logits
        assert_close(theirs(input_ids, mask).logits, logits)
        if num_ranks == 4:
            unchanged = XLMRobertaXLForMaskedLM.from_pretrained(directory)
            assert torch.equal(unchanged(input_ids, mask).logits, logits)


def test_more_ranks_than_heads_are_refused(directory: Path) -> None:
    run_on_ranks(4, _too_many_ranks, directory)
