"""The FLOP formula against torch's own count."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from jobs.benchmark.flops import product_flops, product_shapes, projection_flops, trunk_flops
from model import XLMRobertaXLConfig, XLMRobertaXLForMaskedLM

CONFIG = XLMRobertaXLConfig(
    vocab_size=90, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48
)


@pytest.mark.parametrize(("num_sequences", "length"), [(1, 1), (3, 17)])
def test_they_are_those_that_torch_counts(num_sequences: int, length: int) -> None:
    """Sequences of one length have no padding: what is computed is what is useful."""
    model = XLMRobertaXLForMaskedLM(CONFIG).eval()
    with torch.no_grad():
        with FlopCounterMode(display=False) as trunk:
            hidden = model.roberta(torch.full((num_sequences, length), 5), return_dict=True).last_hidden_state
        with FlopCounterMode(display=False) as head:
            model.lm_head.local_logits(hidden)
    lengths = [length] * num_sequences
    # The pooler is no part of the trunk: one dense layer on every `<s>`.
    assert model.roberta.pooler is None
    assert trunk.get_total_flops() == trunk_flops(CONFIG, lengths)
    assert head.get_total_flops() == projection_flops(CONFIG, sum(lengths))


def test_the_products_of_xl_are_157_mflop_a_token() -> None:
    config = XLMRobertaXLConfig()
    assert product_shapes(config) == [(7680, 2560), (2560, 2560), (10240, 2560), (2560, 10240)]
    assert product_flops(config, 10) == 10 * 2 * 12 * 2560**2
    assert trunk_flops(config, [512]) == 36 * (512 * 2 * 12 * 2560**2 + 4 * 2560 * 512**2)
