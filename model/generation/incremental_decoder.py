"""Feed a causal model token by token, with a cache of keys and values."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from model.config import XLMRobertaXLConfig
from model.generation.options import GenerationOptions
from model.outputs import BaseModelOutputWithPoolingAndCrossAttentions, Cache
from model.parallel.group import ShardGroup

LogitsProcessor = Callable[[Tensor], Tensor]
"""Maps the fp32 logits `[B, V]` of each step to those that the next token is chosen by; -inf forbids an id."""


class Projection(Protocol):
    """A projection onto a vocabulary that is split over the ranks."""

    def local_logits(self, hidden: Tensor) -> Tensor:
        """This rank's columns of the logits."""

    def full_logits(self, local_logits: Tensor) -> Tensor:
        """The columns of all ranks."""


class CausalModel(Protocol):
    """What generation needs of a model; `XLMRobertaXLForCausalLM` has it."""

    config: XLMRobertaXLConfig
    group: ShardGroup
    training: bool

    @property
    def roberta(self) -> Callable[..., BaseModelOutputWithPoolingAndCrossAttentions]:
        """The trunk, called as `XLMRobertaXLModel.forward`."""

    @property
    def lm_head(self) -> Projection:
        """The projection onto the vocabulary."""

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether layers are recomputed in the backward pass, which rules out a cache."""


class Decoder:
    """Feeds tokens to the model, and keeps the cache, the mask and the states of cross-attention."""

    def __init__(
        self,
        model: CausalModel,
        mask_BS: Tensor,
        options: GenerationOptions,
        encoder_hidden: Tensor | None = None,
        encoder_mask: Tensor | None = None,
        process_logits: LogitsProcessor | None = None,
    ) -> None:
        self.model = model
        self._process_logits = process_logits
        self._mask = mask_BS
        self._num_usable = options.num_usable(model.config)
        self._uses_cache = options.use_cache and not (model.is_gradient_checkpointing and model.training)
        self._fed: Tensor | None = None
        self._cache: Cache | None = None
        self._encoder_hidden = encoder_hidden
        self._encoder_mask = encoder_mask

    def next_logits(self, new_ids: Tensor) -> Tensor:
        """Feed `new_ids` `[B, n]` after the tokens so far; returns the fp32 logits `[B, V]` of the next token.

        The first call feeds the prompt. Ids that must not be chosen have -inf.
        """
        if self._fed is None:
            self._fed = new_ids
        else:
            self._mask = torch.cat([self._mask, self._mask.new_ones(new_ids.shape)], dim=1)
            self._fed = torch.cat([self._fed, new_ids], dim=1)
            new_ids = new_ids if self._uses_cache else self._fed
        # As in the default of the forward pass: padding tokens have no position, even if one was generated.
        pad_token_id = self.model.config.padding_id
        is_token = self._mask * self._fed.ne(pad_token_id)
        position_ids = is_token.cumsum(dim=1) * is_token + pad_token_id
        outputs = self.model.roberta(
            new_ids,
            attention_mask=self._mask,
            position_ids=position_ids[:, -new_ids.shape[1] :],
            encoder_hidden_states=self._encoder_hidden,
            encoder_attention_mask=self._encoder_mask,
            past_key_values=self._cache,
            use_cache=self._uses_cache,
            output_attentions=False,
            output_hidden_states=False,
            return_dict=True,
        )
        self._cache = outputs.past_key_values
        head = self.model.lm_head
        logits_BV = head.full_logits(head.local_logits(outputs[0][:, -1])).clone()
        logits_BV[:, self._num_usable :] = -torch.inf
        return logits_BV if self._process_logits is None else self._process_logits(logits_BV)

    def select(self, rows: Tensor) -> None:
        """Continue with these rows, in this order; rows may be repeated."""
        assert self._fed is not None
        self._fed, self._mask = self._fed[rows], self._mask[rows]
        if self._cache is not None:
            self._cache = tuple(tuple(x.index_select(0, rows) for x in layer) for layer in self._cache)
        if self._encoder_hidden is not None:
            self._encoder_hidden = self._encoder_hidden[rows]
        if self._encoder_mask is not None:
            self._encoder_mask = self._encoder_mask[rows]
