"""The device's limit: a layer's four matrix products alone, in every form that is known to be fast."""

import torch
import torch.nn.functional as F

from model.config import XLMRobertaXLConfig
from model.fast_paths import has_onednn_bf16
from model.fused_linear import CPU_SLICE_TOKENS, InferenceLinear
from pipeline.speed.flops import product_flops, product_shapes
from pipeline.speed.timing import PRODUCTS, Case


def product_cases(config: XLMRobertaXLConfig, num_tokens: int, dtype: torch.dtype, device: str) -> list[Case]:
    """The products of one layer, weighted as in the model: by torch on all tokens, and as the trunk does them."""
    weights = [torch.randn(*shape, dtype=dtype, device=device) for shape in product_shapes(config)]
    widths = {weight.shape[1] for weight in weights}
    inputs = {width: torch.randn(num_tokens, width, dtype=dtype, device=device) for width in widths}
    flops = product_flops(config, num_tokens)

    def plain() -> None:
        with torch.inference_mode():
            for weight in weights:
                F.linear(inputs[weight.shape[1]], weight)

    cases = [Case("torch linear, all tokens", plain, 0, flops, PRODUCTS)]
    if not has_onednn_bf16(weights[0]):
        return cases
    prepacked = [(weight.shape[1], InferenceLinear(weight, None)) for weight in weights]

    def in_slices() -> None:
        with torch.inference_mode():
            for width, linear in prepacked:
                for rows in inputs[width].split(CPU_SLICE_TOKENS):
                    linear(rows)

    return [*cases, Case(f"prepacked, {CPU_SLICE_TOKENS} tokens", in_slices, 0, flops, PRODUCTS)]
