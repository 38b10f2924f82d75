"""bf16 at the width of XL: the error against fp32 is within twice that of the oracle's own bf16."""

import torch
from torch import Tensor

from model import XLMRobertaXLConfig, XLMRobertaXLForMaskedLM
from tests.oracle import oracle_of, padded_batch
from tests.packing import pack, unpack

CONFIG = XLMRobertaXLConfig(vocab_size=2000, num_hidden_layers=4)
LENGTHS = [48, 17, 30]


def mean_error(found: Tensor, expected: Tensor) -> float:
    return (found.float() - expected).abs().mean().item()


def test_error_at_xl_width_is_within_twice_the_oracles() -> None:
    assert (CONFIG.hidden_size, CONFIG.num_attention_heads, CONFIG.intermediate_size) == (2560, 32, 10240)
    torch.manual_seed(0)
    model = XLMRobertaXLForMaskedLM(CONFIG).eval()
    input_ids, mask = padded_batch(CONFIG, LENGTHS)
    keep = mask.bool()
    batch = pack(input_ids, mask, pad_token_id=1)
    with torch.inference_mode():
        expected = model(input_ids, mask, labels=input_ids, output_hidden_states=True)
        model.to(torch.bfloat16)
    oracle = oracle_of(model)
    with torch.inference_mode():
        theirs = oracle(input_ids, mask, labels=input_ids, output_hidden_states=True)
        ours = model(input_ids, mask, labels=input_ids, output_hidden_states=True)
        packed = model.roberta.forward_packed(batch)
        packed_logits = model.lm_head.local_logits(packed)
        nll = model.lm_head.nll(packed, batch.input_ids)
        model.roberta.fuse()
        fused = model.roberta.forward_packed(batch)
    states = expected.hidden_states[-1][keep]
    their_error = mean_error(theirs.hidden_states[-1][keep], states)
    assert their_error > 0
    assert mean_error(ours.hidden_states[-1][keep], states) <= 2 * their_error
    assert mean_error(unpack(packed, batch.lengths)[keep], states) <= 2 * their_error
    assert mean_error(fused, states) <= 2 * their_error
    logits = expected.logits[keep]
    their_error = mean_error(theirs.logits[keep], logits)
    assert mean_error(ours.logits[keep], logits) <= 2 * their_error
    assert mean_error(packed_logits, logits) <= 2 * their_error
    assert ours.logits.dtype == ours.loss.dtype == nll.dtype == torch.float32
    exact_nll = torch.nn.functional.cross_entropy(logits, batch.input_ids, reduction="none")
    their_nll = torch.nn.functional.cross_entropy(theirs.logits[keep].float(), batch.input_ids, reduction="none")
    assert mean_error(nll, exact_nll) <= 2 * mean_error(their_nll, exact_nll)
