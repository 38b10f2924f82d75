"""Measure the device's limit: the four matrix products of a layer, in every form known to be fast."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from jobs.benchmark.flops import product_flops, product_shapes
from jobs.benchmark.timing import PRODUCTS, Case, time_of
from model.config import XLMRobertaXLConfig
from model.inference.amx_layer import AMX_SLICE_TOKENS
from model.inference.linear import CPU_SLICE_TOKENS, InferenceLinear
from model.kernels.amx.kernels import AmxLinear, Workspace
from model.kernels.amx.library import runs_amx_kernels
from model.kernels.hardware import has_onednn_bf16

SUSTAINED_S = 30.0


def product_cases(config: XLMRobertaXLConfig, num_tokens: int, dtype: torch.dtype, device: str) -> list[Case]:
    """The products of one layer by torch on all tokens, and in the forms that trunks use."""
    weights = [torch.randn(*shape, dtype=dtype, device=device) for shape in product_shapes(config)]
    widths = {weight.shape[1] for weight in weights}
    inputs = {width: torch.randn(num_tokens, width, dtype=dtype, device=device) for width in widths}

    @torch.inference_mode()
    def plain() -> None:
        for weight in weights:
            F.linear(inputs[weight.shape[1]], weight)

    forms = {"torch linear, all tokens": plain}
    if has_onednn_bf16(weights[0]):
        forms[f"prepacked, {CPU_SLICE_TOKENS} tokens"] = _prepacked(weights, inputs)
    if runs_amx_kernels(weights[0]):
        forms[f"in tiles, {AMX_SLICE_TOKENS} tokens"] = _in_tiles(weights, num_tokens)
    flops = product_flops(config, num_tokens)
    return [Case(name, run, 0, flops, PRODUCTS) for name, run in forms.items()]


def sustained(case: Case, device: str, seconds: float = SUSTAINED_S) -> Case:
    """The same products repeated for about this long: under a load as long as a job's, clocks are lower."""
    case.run()
    num_runs = max(1, round(seconds / time_of(case.run, device)))

    def run() -> None:
        for _ in range(num_runs):
            case.run()

    return Case(f"{case.name}, {seconds:.0f} s", run, 0, num_runs * case.flops, PRODUCTS, warms_up=False)


def _prepacked(weights: list[Tensor], inputs: dict[int, Tensor]) -> Callable[[], None]:
    linears = [(weight.shape[1], InferenceLinear(weight, None)) for weight in weights]

    @torch.inference_mode()
    def run() -> None:
        for width, linear in linears:
            for rows in inputs[width].split(CPU_SLICE_TOKENS):
                linear(rows)

    return run


def _in_tiles(weights: list[Tensor], num_tokens: int) -> Callable[[], None]:
    workspace = Workspace()
    linears = [(*weight.shape, AmxLinear(weight, None)) for weight in weights]
    size = min(AMX_SLICE_TOKENS, num_tokens)
    inputs = {width: workspace.blocks(f"x {width}", size, width) for _, width, _ in linears}
    for blocks in inputs.values():
        blocks.data.view(torch.bfloat16).normal_()

    @torch.inference_mode()
    def run() -> None:
        for num_outputs, width, linear in linears:
            for begin in range(0, num_tokens, size):
                num_rows = min(size, num_tokens - begin)
                x = inputs[width]._replace(num_rows=num_rows)
                linear(x, workspace.rows("y", num_rows, num_outputs))

    return run
