"""Language models: the trunk with an LM head, masked or causal."""

from typing import Any

import torch
from torch import Tensor

from model.config import XLMRobertaXLConfig
from model.heads import LMHead
from model.layers import ColumnParallelLinear, VocabParallelEmbedding
from model.loss import IGNORE_INDEX, mean_over_labels, vocab_parallel_cross_entropy
from model.outputs import Cache, CausalLMOutputWithCrossAttentions, MaskedLMOutput
from model.packing import PackedBatch
from model.parallel import ShardGroup
from model.pretrained import XLMRobertaXLPreTrainedModel
from model.trunk import XLMRobertaXLModel


class _LanguageModel(XLMRobertaXLPreTrainedModel):
    def __init__(self, config: XLMRobertaXLConfig, *, group: ShardGroup | None = None) -> None:
        super().__init__(config, group)
        with torch.device("meta"):
            self.roberta = XLMRobertaXLModel(config, add_pooling_layer=False, group=self.group)
            tied = self.roberta.get_input_embeddings() if config.tie_word_embeddings else None
            self.lm_head = LMHead(config, self.group, tied)
        self.initialize()

    def get_input_embeddings(self) -> VocabParallelEmbedding:
        """The word embeddings (this rank's rows)."""
        return self.roberta.get_input_embeddings()

    def set_input_embeddings(self, value: VocabParallelEmbedding) -> None:
        """Replace the word embeddings; a tied projection follows."""
        self.roberta.set_input_embeddings(value)
        if self.config.tie_word_embeddings:
            self.lm_head.decoder.weight = value.weight

    def get_output_embeddings(self) -> ColumnParallelLinear:
        """The projection onto the vocabulary (this rank's rows)."""
        return self.lm_head.decoder

    def _loss(self, local_logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy over the labelled positions; the logits stay split over the ranks."""
        nll = vocab_parallel_cross_entropy(
            local_logits.flatten(0, -2),
            labels.flatten(),
            self.group,
            self.lm_head.decoder.shards["weight"],
        )
        return mean_over_labels(nll, labels)


class XLMRobertaXLForMaskedLM(_LanguageModel):
    """The trunk with a head that predicts masked tokens."""

    def forward_packed(self, batch: PackedBatch, labels: Tensor) -> Tensor:
        """Mean loss over the labelled positions of packed sequences; only those are projected.

        Args:
            labels: int64 `[num_tokens]`, -100 where there is nothing to predict.

        Returns:
            fp32 scalar, differentiable.
        """
        labelled = (labels != IGNORE_INDEX).nonzero().squeeze(-1)
        hidden_ND = self.roberta.forward_packed(batch)[labelled]
        return self._loss(self.lm_head.local_logits(hidden_ND), labels[labelled])

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Logits of every position, and the loss where there are labels.

        Args:
            labels: `[batch, length]`, ids in the vocabulary or -100; the others are those of
                `XLMRobertaXLModel.forward`.

        Returns:
            MaskedLMOutput with fp32 loss and logits `[batch, length, vocab_size]`, or a tuple.
        """
        return_dict = self.config.use_return_dict if return_dict is None else return_dict
        outputs = self.roberta(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            head_mask,
            inputs_embeds,
            encoder_hidden_states,
            encoder_attention_mask,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )
        local_logits = self.lm_head.local_logits(outputs[0])
        loss = None if labels is None else self._loss(local_logits, labels)
        logits = self.lm_head.full_logits(local_logits)
        if not return_dict:
            return as_tuple(loss, logits, *outputs[2:])
        return MaskedLMOutput(loss, logits, outputs.hidden_states, outputs.attentions)


class XLMRobertaXLForCausalLM(_LanguageModel):
    """The trunk as a decoder, with a head that predicts the next token (`config.is_decoder = True`)."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Logits of every position, and the loss of predicting each label from the tokens before it.

        Args:
            labels: `[batch, length]`, ids in the vocabulary or -100, shifted here; with labels no cache is
                returned. The others are those of `XLMRobertaXLModel.forward`.

        Returns:
            CausalLMOutputWithCrossAttentions with fp32 loss and logits `[batch, length, vocab_size]`, or a tuple.
        """
        return_dict = self.config.use_return_dict if return_dict is None else return_dict
        outputs = self.roberta(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            head_mask,
            inputs_embeds,
            encoder_hidden_states,
            encoder_attention_mask,
            past_key_values,
            use_cache if labels is None else False,
            output_attentions,
            output_hidden_states,
            return_dict,
        )
        local_logits = self.lm_head.local_logits(outputs[0])
        loss = None if labels is None else self._loss(local_logits[:, :-1], labels[:, 1:])
        logits = self.lm_head.full_logits(local_logits)
        if not return_dict:
            return as_tuple(loss, logits, *outputs[2:])
        return CausalLMOutputWithCrossAttentions(
            loss,
            logits,
            outputs.past_key_values,
            outputs.hidden_states,
            outputs.attentions,
            outputs.cross_attentions,
        )


def as_tuple(loss: Tensor | None, *outputs: Any) -> tuple[Any, ...]:
    """The plain form of an output: the loss first, where there is one."""
    return outputs if loss is None else (loss, *outputs)
