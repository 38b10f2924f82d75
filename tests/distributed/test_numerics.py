"""What holds on every rank alike: labels and ids that are none are refused, float64 and fp32 losses are kept."""

from typing import Any

import pytest
import torch

from model import PackedBatch, ShardGroup, XLMRobertaXLConfig
from model.layers.vocab_top_k import vocab_parallel_top_k
from model.tokenizer.special_tokens import IGNORE_INDEX
from tests.distributed.processes import run_on_ranks
from tests.distributed.slices import assert_same_sliced_gradients
from tests.distributed.test_every_option import sharded_copy
from tests.oracle import assert_close, padded_batch
from tests.packing import pack
from tests.random_cases import Case

CONFIG = XLMRobertaXLConfig(
    vocab_size=71, hidden_size=40, num_hidden_layers=2, num_attention_heads=5, intermediate_size=33,
    max_position_embeddings=40,
)  # fmt: skip
IDS, MASK = padded_batch(CONFIG, [7, 4, 11])
EXACT = 1e-12


def both(class_name: str, group: ShardGroup, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """A model on one rank, and this rank's part of it."""
    case = Case(class_name, 0, CONFIG.copy(is_decoder=class_name.endswith("CausalLM")))
    whole = case.model()
    return whole.to(dtype), sharded_copy(case.model(), case, group).to(dtype)


def _refuse(group: ShardGroup) -> None:
    batch = pack(IDS, MASK, pad_token_id=1)
    for wrong in (71, -1):
        labels, packed_labels = IDS.clone(), batch.input_ids.clone()
        labels[0, 3] = packed_labels[3] = wrong
        for class_name in ("XLMRobertaXLForMaskedLM", "XLMRobertaXLForCausalLM"):
            _, sharded = both(class_name, group)
            with pytest.raises(IndexError, match=rf"^Target {wrong} is out of bounds\.$"):
                sharded(IDS, MASK, labels=labels)
            hidden = sharded.roberta.forward_packed(batch)
            with pytest.raises(IndexError, match=rf"^Target {wrong} is out of bounds\.$"):
                sharded.lm_head.nll(hidden, packed_labels)
        _, masked = both("XLMRobertaXLForMaskedLM", group)
        with pytest.raises(IndexError, match=rf"^Target {wrong} is out of bounds\.$"):
            masked.forward_packed(batch, packed_labels)
        ids = torch.tensor([[5, wrong, 6]])
        with pytest.raises(IndexError, match=r"^index out of range in self$"):
            masked(ids)
        with pytest.raises(IndexError, match=r"^index out of range in self$"):
            masked.roberta.forward_packed(PackedBatch.from_sequences(ids.tolist(), pad_token_id=1))


def _float64(group: ShardGroup) -> None:
    whole, sharded = both("XLMRobertaXLForMaskedLM", group, torch.float64)
    labels = IDS.masked_fill(MASK == 0, IGNORE_INDEX)
    outputs = [m(IDS, MASK, labels=labels, output_hidden_states=True) for m in (sharded, whole)]
    assert outputs[0].loss.dtype == torch.float64
    assert_close(outputs[0].to_tuple(), outputs[1].to_tuple(), tolerance=EXACT)
    for output in outputs:
        (output.loss + output.logits.square().mean()).backward()
    assert_same_sliced_gradients(sharded, whole, tolerance=EXACT)
    batch = pack(IDS, MASK, pad_token_id=1)
    found = []
    for m in (sharded, whole):
        head, decoder = m.lm_head, m.lm_head.decoder
        with torch.no_grad():
            hidden = m.roberta.forward_packed(batch)
            top = vocab_parallel_top_k(
                head.transform(hidden), decoder.weight, decoder.bias, m.group, decoder.shards["weight"],
                k=4, num_usable=71,
            )  # fmt: skip
            found.append((hidden, head.nll(hidden, batch.input_ids), *top))
    assert_close(*found, tolerance=EXACT)


def _autocast(group: ShardGroup) -> None:
    whole, sharded = both("XLMRobertaXLForMaskedLM", group)
    exact = whole(IDS, MASK, labels=IDS).loss.item()
    with torch.autocast("cpu", torch.bfloat16):
        output = sharded(IDS, MASK, labels=IDS)
    assert output.loss.dtype == output.logits.dtype == torch.float32
    assert output.loss.item() == pytest.approx(exact, abs=0.03)
    output.loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in sharded.parameters())


def _precision(group: ShardGroup) -> None:
    _float64(group)
    _autocast(group)


def test_wrong_labels_and_ids_are_refused_by_all_ranks() -> None:
    """None of them waits for the others: the first, the last, and the one between."""
    run_on_ranks(3, _refuse, timeout_s=60)


def test_precision_is_that_of_one_rank() -> None:
    run_on_ranks(2, _precision)
