"""The oracle: Transformers 4.46.3, eager attention, fp32, built in memory from our configuration and weights.

It never reads our weights from a file: it loses `lm_head.bias` on loading.
"""

from collections.abc import Mapping
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from model import XLMRobertaXLConfig
from model.modeling.pretrained import XLMRobertaXLPreTrainedModel

TOLERANCE = 1e-4


def oracle_config(config: XLMRobertaXLConfig) -> transformers.XLMRobertaXLConfig:
    """Our configuration as one of Transformers, with eager attention."""
    hidden_act = config.hidden_act
    values = config.copy(hidden_act="gelu").to_dict()
    values = {key: value for key, value in values.items() if key not in ("model_type", "torch_dtype")}
    values |= {"hidden_act": hidden_act, "pruned_heads": config.pruned_heads}
    return transformers.XLMRobertaXLConfig(**values, attn_implementation="eager")


def oracle_of(model: XLMRobertaXLPreTrainedModel) -> Any:
    """The Transformers class of the same name with the same weights, in `eval()` mode."""
    config = oracle_config(model.config)
    theirs = getattr(transformers, type(model).__name__)
    options = {"add_pooling_layer": model.pooler is not None} if hasattr(model, "pooler") else {}
    oracle = theirs(config, **options).to(model.dtype)
    oracle.load_state_dict(model.state_dict(), strict=True)
    return oracle.eval()


def randomize(model: nn.Module, *, seed: int = 0, std: float = 0.15) -> None:
    """Random values everywhere, biases and LayerNorms included, so that a lost or swapped tensor shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(std=std, generator=generator)
            if "norm" in name.lower() and name.endswith("weight"):
                parameter.add_(1.0)


def random_ids(config: XLMRobertaXLConfig, *shape: int, seed: int = 0) -> Tensor:
    """Token ids that are never padding."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, config.vocab_size - 1, shape, generator=generator)
    return ids + (ids >= config.pad_token_id)


def padded_batch(config: XLMRobertaXLConfig, lengths: list[int], *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Right-padded random `input_ids` and `attention_mask`, `[len(lengths), max(lengths)]`."""
    input_ids = random_ids(config, len(lengths), max(lengths), seed=seed)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    return input_ids.masked_fill(mask == 0, config.pad_token_id), mask


def assert_close(actual: Any, expected: Any, *, tolerance: float = TOLERANCE, name: str = "output") -> None:
    """Equal structure, and tensors within `tolerance`, absolute and relative; NaN equals NaN."""
    if isinstance(expected, Tensor):
        torch.testing.assert_close(
            actual, expected, rtol=tolerance, atol=tolerance, equal_nan=True, msg=lambda m: f"{name}: {m}"
        )
    elif isinstance(expected, tuple | list):
        assert len(actual) == len(expected), f"{name}: {len(actual)} entries, expected {len(expected)}"
        for i, (a, e) in enumerate(zip(actual, expected, strict=True)):
            assert_close(a, e, tolerance=tolerance, name=f"{name}[{i}]")
    else:
        assert actual == expected, f"{name}: {actual!r}, expected {expected!r}"


def assert_same_output(ours: Any, theirs: Any, *, tolerance: float = TOLERANCE) -> None:
    """Same fields in the same order with the same values, as an object or as a plain tuple."""
    if isinstance(theirs, tuple):
        assert_close(ours, theirs, tolerance=tolerance)
        return
    assert list(ours.keys()) == list(theirs.keys())
    for key in theirs:
        assert_close(ours[key], theirs[key], tolerance=tolerance, name=key)


def assert_same_gradients(ours: nn.Module, theirs: nn.Module, *, tolerance: float = TOLERANCE) -> None:
    """Same gradient for every parameter, by name; a parameter without one has none on either side."""
    expected: Mapping[str, nn.Parameter] = dict(theirs.named_parameters())
    found = dict(ours.named_parameters())
    assert set(found) == set(expected)
    for name, parameter in expected.items():
        grad = found[name].grad
        assert (grad is None) == (parameter.grad is None), name
        if grad is not None:
            assert_close(grad, parameter.grad, tolerance=tolerance, name=f"gradient of {name}")
