"""Count the useful floating point operations of a forward pass: those that the sequences need, without padding.

A product of `[m, k]` and `[k, n]` is 2 m n k operations. Linear layers and the two products of attention are
counted, as in PaLM (Chowdhery et al. 2022, https://arxiv.org/abs/2204.02311, appendix B; the forward third of
its 6 N + 12 L H Q T per token); padding, softmax, LayerNorm and activations are not.
"""

from collections.abc import Sequence

from model.config import XLMRobertaXLConfig


def product_shapes(config: XLMRobertaXLConfig) -> list[tuple[int, int]]:
    """(out_features, in_features) of a layer's products: query, key and value in one, output, up, down."""
    hidden, inner = config.hidden_size, config.intermediate_size
    return [(3 * hidden, hidden), (hidden, hidden), (inner, hidden), (hidden, inner)]


def product_flops(config: XLMRobertaXLConfig, num_tokens: int) -> int:
    """Operations of the linear products of one layer."""
    return 2 * num_tokens * sum(out * in_ for out, in_ in product_shapes(config))


def trunk_flops(config: XLMRobertaXLConfig, lengths: Sequence[int]) -> int:
    """Operations of all layers, for sequences of these lengths that attend to themselves."""
    attention = 4 * config.hidden_size * sum(length * length for length in lengths)
    return config.num_hidden_layers * (product_flops(config, sum(lengths)) + attention)


def projection_flops(config: XLMRobertaXLConfig, num_positions: int) -> int:
    """Operations of a language model's head: dense layer and projection onto the vocabulary."""
    return 2 * num_positions * config.hidden_size * (config.hidden_size + config.vocab_size)
