"""Parse values of a configuration that are given as text."""

from typing import TYPE_CHECKING, Any

from model.checkpoints.json_files import shown

if TYPE_CHECKING:
    import torch

_WEIGHT_DTYPES = ("float64", "float32", "bfloat16", "float16")
_OTHER_NAMES = {"double": "float64", "float": "float32", "half": "float16"}


def dtype_name(dtype: "str | torch.dtype | None") -> str | None:
    """The name of `torch.bfloat16`, "torch.bfloat16" or "bfloat16"; None for "auto" and None.

    Raises ValueError: it is no dtype of weights.
    """
    if dtype is None or dtype == "auto":
        return None
    name = str(dtype).removeprefix("torch.")
    name = _OTHER_NAMES.get(name, name)
    if name not in _WEIGHT_DTYPES:
        names = ", ".join(_WEIGHT_DTYPES)
        raise ValueError(f"config.torch_dtype must name a torch dtype of weights ({names}), found {shown(dtype)}")
    return name


def as_dtype(dtype: "str | torch.dtype | None") -> "torch.dtype | None":
    """The dtype of torch that `dtype_name` names."""
    name = dtype_name(dtype)
    if name is None:
        return None
    # Imported here: configurations are also read by processes without torch, which takes a second to load.
    import torch  # noqa: PLC0415

    found: torch.dtype = getattr(torch, name)
    return found


def one_dtype(torch_dtype: Any, dtype: Any) -> str | None:
    """The name of the dtype of a configuration that may have both `torch_dtype` and `dtype`, its newer name.

    Raises ValueError: they differ, or one names no dtype of weights.
    """
    if dtype is not None and torch_dtype is not None and dtype_name(dtype) != dtype_name(torch_dtype):
        raise ValueError(
            f"config.dtype must be that of config.torch_dtype, {shown(torch_dtype)}, found {shown(dtype)}; "
            "they are two names of one option, delete one"
        )
    return dtype_name(dtype if torch_dtype is None else torch_dtype)


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
