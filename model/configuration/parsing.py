"""Parse values of a configuration that are given as text."""

from typing import Any

import torch

from model.checkpoints.json_files import shown

_WEIGHT_DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def as_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """Parse `torch.bfloat16`, "torch.bfloat16" or "bfloat16"; None for "auto" and None."""
    if dtype is None or dtype == "auto":
        return None
    found = getattr(torch, str(dtype).removeprefix("torch."), None)
    if not isinstance(found, torch.dtype) or found not in _WEIGHT_DTYPES:
        names = ", ".join(str(known).removeprefix("torch.") for known in _WEIGHT_DTYPES)
        raise ValueError(f"config.torch_dtype must name a torch dtype of weights ({names}), found {shown(dtype)}")
    return found


def one_dtype(torch_dtype: Any, dtype: Any) -> torch.dtype | None:
    """The dtype of a configuration that may have both `torch_dtype` and `dtype`, as newer ones call it.

    Raises ValueError: they differ, or one names no dtype of weights.
    """
    if dtype is not None and torch_dtype is not None and as_dtype(dtype) != as_dtype(torch_dtype):
        raise ValueError(
            f"config.dtype must be that of config.torch_dtype, {shown(torch_dtype)}, found {shown(dtype)}; "
            "they are two names of one option, delete one"
        )
    return as_dtype(dtype if torch_dtype is None else torch_dtype)


def parse_changes(text: str, current: Any) -> dict[str, Any]:
    """Parse `"hidden_size=64,is_decoder=true"` into values of the types of the attributes of `current`.

    Raises:
        ValueError: an unknown attribute, or text that cannot be parsed as its type.
        TypeError: an attribute that is not a boolean, number or string.
    """
    changes = {}
    for change in text.split(","):
        name, equals, value = change.partition("=")
        if not equals or not hasattr(current, name):
            raise ValueError(f"expected name=value with an attribute of the configuration, found {change!r}")
        changes[name] = _parse(name, value, getattr(current, name))
    return changes


def _parse(name: str, text: str, old: Any) -> Any:
    if isinstance(old, bool):
        if text.lower() not in ("true", "1", "y", "yes", "false", "0", "n", "no"):
            raise ValueError(f"{name} must be true or false, found {text!r}")
        return text.lower() in ("true", "1", "y", "yes")
    if not isinstance(old, int | float | str):
        raise TypeError(f"{name} is a {type(old).__name__}, which cannot be given as text")
    return type(old)(text)
