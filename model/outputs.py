"""Outputs of the models: attribute, key and index access, with the field order of Transformers."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, overload

from torch import Tensor

Cache = tuple[tuple[Tensor, ...], ...]


@dataclass
class ModelOutput:
    """Fields that are None are absent from `keys()`, from iteration and from `to_tuple()`."""

    def keys(self) -> list[str]:
        """Names of the fields that are present, in order."""
        return [f.name for f in fields(self) if getattr(self, f.name) is not None]

    def values(self) -> list[Any]:
        """The fields that are present, in order."""
        return [getattr(self, name) for name in self.keys()]

    def items(self) -> list[tuple[str, Any]]:
        """Pairs of name and value of the fields that are present."""
        return list(zip(self.keys(), self.values(), strict=True))

    def to_tuple(self) -> tuple[Any, ...]:
        """The fields that are present, as `return_dict=False` returns them."""
        return tuple(self.values())

    @overload
    def __getitem__(self, key: str | int) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, key: str | int | slice) -> Any:
        if isinstance(key, str):
            if key not in self.keys():
                raise KeyError(key)
            return getattr(self, key)
        return self.to_tuple()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __contains__(self, key: object) -> bool:
        return key in self.keys()


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
