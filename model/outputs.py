"""Output classes of the models, with the field order and access of Transformers.

Fields that are fp32 are float64 for a float64 model.
"""

from collections import OrderedDict
from collections.abc import ItemsView, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Never, overload

from torch import Tensor
from torch.utils import _pytree as pytree

Cache = tuple[tuple[Tensor, ...], ...]


@dataclass
class ModelOutput(OrderedDict[str, Any]):
    """Access to fields by attribute, by name (`output["logits"]`) and by index (`output[0]`, `output[:2]`).

    A dictionary of the fields that are not None, kept in sync with the attributes, and a pytree node of torch.
    """

    def __init_subclass__(cls) -> None:
        """Register a pytree node, so that data parallelism and export find the tensors."""
        pytree.register_pytree_node(
            cls,
            _flatten,
            partial(_unflatten, cls),
            serialized_type_name=f"{cls.__module__}.{cls.__qualname__}",
            flatten_with_keys_fn=_flatten_with_keys,
        )

    def __post_init__(self) -> None:
        """Also accept a dictionary, or pairs of name and value, as the only argument."""
        first, *others = (f.name for f in fields(self))
        pairs = _pairs(getattr(self, first))
        if pairs is not None and all(getattr(self, name) is None for name in others):
            setattr(self, first, None)
            for name, value in pairs.items():
                self[name] = value

    @overload
    def __getitem__(self, key: str | int) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, key: str | int | slice) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setattr__(key, value)
        if value is not None:
            super().__setitem__(key, value)
        elif key in self:
            super().__delitem__(key)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self or any(f.name == name for f in fields(self)):
            self[name] = value
        else:
            super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if name in self:
            super().__delitem__(name)

    def _refused(self, *args: Any, **kwargs: Any) -> Never:
        name = type(self).__name__
        raise TypeError(f"items of a {name} cannot be removed or set together; set one of them, or set it to None")

    def __ne__(self, other: object) -> bool:
        # That of OrderedDict compares the items only.
        return not self == other

    __delitem__ = __ior__ = pop = popitem = clear = setdefault = update = _refused

    def to_tuple(self) -> tuple[Any, ...]:
        """The fields that are not None, as `return_dict=False` returns them."""
        return tuple(self.values())


def _pairs(value: object) -> dict[str, Any] | None:
    """The items of a mapping or of pairs of name and value; None for anything else, such as a tensor."""
    if isinstance(value, Mapping):
        return dict(value)
    if not isinstance(value, ItemsView | Iterator | list | tuple):
        return None
    pairs = list(value)
    is_pairs = all(isinstance(p, list | tuple) and len(p) == 2 and isinstance(p[0], str) for p in pairs)
    return dict(pairs) if pairs and is_pairs else None


def _flatten(output: ModelOutput) -> tuple[list[Any], list[str]]:
    return list(output.values()), list(output.keys())


def _flatten_with_keys(output: ModelOutput) -> tuple[list[tuple[pytree.KeyEntry, Any]], list[str]]:
    return [(pytree.MappingKey(key), value) for key, value in output.items()], list(output.keys())


def _unflatten(cls: type[ModelOutput], values: Any, names: list[str]) -> ModelOutput:
    output = cls()
    for name, value in zip(names, values, strict=True):
        output[name] = value
    return output


@dataclass
class BaseModelOutputWithPoolingAndCrossAttentions(ModelOutput):
    """Output of the trunk: `[batch, length, hidden]` states, `[batch, hidden]` pooled state, and options."""

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    past_key_values: Cache | None = None
    attentions: tuple[Tensor, ...] | None = None
    cross_attentions: tuple[Tensor, ...] | None = None


@dataclass
class CausalLMOutputWithCrossAttentions(ModelOutput):
    """Shifted loss and logits `[batch, length, vocab]`, fp32."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    cross_attentions: tuple[Tensor, ...] | None = None


@dataclass
class _LogitsOutput(ModelOutput):
    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class MaskedLMOutput(_LogitsOutput):
    """Loss and logits `[batch, length, vocab]`, fp32."""


class SequenceClassifierOutput(_LogitsOutput):
    """Loss and logits `[batch, num_labels]`, fp32."""


class TokenClassifierOutput(_LogitsOutput):
    """Loss and logits `[batch, length, num_labels]`, fp32."""


class MultipleChoiceModelOutput(_LogitsOutput):
    """Loss and logits `[batch, num_choices]`, fp32."""


@dataclass
class QuestionAnsweringModelOutput(ModelOutput):
    """Loss and logits of span starts and ends `[batch, length]`, fp32."""

    loss: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
