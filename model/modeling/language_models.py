"""Language models: the trunk with an LM head, masked or causal."""

from typing import Any

import torch
from torch import Tensor, nn

from model.config import XLMRobertaXLConfig
from model.generation.generate import generate
from model.generation.incremental_decoder import LogitsProcessor
from model.generation.options import GenerationOptions
from model.layers.heads import LMHead
from model.layers.loss import mean_over_labels, vocab_parallel_cross_entropy
from model.modeling.pretrained import refuse_other_sizes
from model.modeling.resizing import resize_lm_head
from model.modeling.task_model import TaskModel
from model.outputs import Cache, CausalLMOutputWithCrossAttentions, MaskedLMOutput
from model.packing import PackedBatch
from model.parallel.layers import ColumnParallelLinear
from model.tokenizer.special_tokens import IGNORE_INDEX


class _LanguageModel(TaskModel):
    def _add_head(self, config: XLMRobertaXLConfig) -> None:
        tied = self.roberta.get_input_embeddings() if config.tie_word_embeddings else None
        self.lm_head = LMHead(config, self.group, tied)

    def tie_weights(self) -> None:
        """Make the projection share the word embeddings, if the configuration ties them."""
        if self.config.tie_word_embeddings:
            self.lm_head.decoder.weight = self.get_input_embeddings().weight

    def get_output_embeddings(self) -> ColumnParallelLinear:
        """The projection onto the vocabulary (this rank's rows)."""
        return self.lm_head.decoder

    def set_output_embeddings(self, new_embeddings: ColumnParallelLinear | nn.Linear) -> None:
        """Replace the projection onto the vocabulary with its bias; it is untied until `tie_weights`.

        Args:
            new_embeddings: this rank's rows, or a whole `torch.nn.Linear`. A group of one uses its parameters
                themselves, each rank of a larger group a copy of its rows. A missing bias becomes zeros.

        Raises:
            ValueError: not `[vocab_size, hidden_size]`; to change that, see `resize_token_embeddings`.
        """
        num_rows, width = new_embeddings.out_features, new_embeddings.in_features
        refuse_other_sizes("output embeddings", num_rows, width, self.config)
        if isinstance(new_embeddings, nn.Linear):
            new_embeddings = ColumnParallelLinear.from_linear(new_embeddings, self.group)
        self.lm_head.decoder = new_embeddings
        self.lm_head.bias = new_embeddings.bias

    def resize_output_embeddings(self, num_tokens: int) -> None:
        """Resize the projection with the vocabulary; new biases are 0."""
        tied = self.get_input_embeddings() if self.config.tie_word_embeddings else None
        resize_lm_head(self.lm_head, num_tokens, std=self.config.initializer_range, tied=tied)

    def _loss(self, local_logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy over the labelled positions; the logits stay split over the ranks."""
        nll = vocab_parallel_cross_entropy(
            local_logits.flatten(0, -2), labels.flatten(), self.group, self.lm_head.decoder.shards["weight"]
        )
        return mean_over_labels(nll, labels)


class XLMRobertaXLForMaskedLM(_LanguageModel):
    """The trunk with a head that predicts masked tokens."""

    def forward_packed(self, batch: PackedBatch, labels: Tensor) -> Tensor:
        """Mean loss over the labelled positions of packed sequences; only those are projected.

        Args:
            labels: int64 `[num_tokens]`, -100 for tokens without a label.

        Returns:
            fp32 scalar, differentiable.

        Raises:
            IndexError: a label that is neither in the vocabulary nor -100; on a GPU a device-side assertion.
            ValueError: the numbers of labels and tokens differ.
        """
        if labels.shape != batch.input_ids.shape:
            raise ValueError(f"labels must be {list(batch.input_ids.shape)}, found {list(labels.shape)}")
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
        """Logits of every position, and the loss if labels are given.

        Args:
            labels: `[batch, length]`, ids in the vocabulary or -100; the others are those of
                `XLMRobertaXLModel.forward`.

        Returns:
            MaskedLMOutput with fp32 loss and logits `[batch, length, vocab_size]`, or a tuple.

        Raises:
            IndexError: a label that is neither in the vocabulary nor -100; on a GPU a device-side assertion.
        """
        outputs = self.roberta(
            input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds,
            encoder_hidden_states, encoder_attention_mask,
            output_attentions=output_attentions, output_hidden_states=output_hidden_states, return_dict=True,
        )  # fmt: skip
        local_logits = self.lm_head.local_logits(outputs[0])
        loss = None if labels is None else self._loss(local_logits, labels)
        logits = self.lm_head.full_logits(local_logits)
        return self._output(MaskedLMOutput, outputs, return_dict, loss=loss, logits=logits)


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
        """Logits of every position, and the loss of predicting each label from the tokens before.

        Args:
            labels: `[batch, length]`, ids in the vocabulary or -100, shifted here; with labels no cache is
                returned. The others are those of `XLMRobertaXLModel.forward`.

        Returns:
            CausalLMOutputWithCrossAttentions with fp32 loss and logits `[batch, length, vocab_size]`, or a tuple.

        Raises:
            IndexError: a label that is neither in the vocabulary nor -100; on a GPU a device-side assertion.
        """
        outputs = self.roberta(
            input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds,
            encoder_hidden_states, encoder_attention_mask, past_key_values, use_cache if labels is None else False,
            output_attentions, output_hidden_states, return_dict=True,
        )  # fmt: skip
        local_logits = self.lm_head.local_logits(outputs[0])
        loss = None if labels is None else self._loss(local_logits[:, :-1], labels[:, 1:])
        logits = self.lm_head.full_logits(local_logits)
        return self._output(CausalLMOutputWithCrossAttentions, outputs, return_dict, loss=loss, logits=logits)

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        generator: torch.Generator | None = None,
        seed: int | None = None,
        process_logits: LogitsProcessor | None = None,
        **options: Any,
    ) -> Tensor:
        """Continue prompts: greedily, by sampling (`do_sample=True`) or by beam search (`num_beams=4`).

        A row gets the same continuation as alone; padding may be left, right or in between.

        Args:
            input_ids: `[batch, length]`.
            attention_mask: `[batch, length]`, 0 for padding; default 0 for padding tokens.
            encoder_hidden_states, encoder_attention_mask: for cross-attention, one row per prompt.
            generator: random generator of sampling; default torch's own (on rank 0).
            seed: alternative to a generator.
            process_logits: maps the fp32 logits of each step `[rows, vocab_size]`, one row per beam, to those that
                the next token is chosen by.
            options: see `model.generation.options.GenerationOptions`.

        Returns:
            `[batch * num_return_sequences, length + up to max_new_tokens]`: the prompt as given, the continuation
            with its end token, then padding; the same on all ranks.

        Raises:
            ValueError: `config.is_decoder` is False, `config.pad_token_id` is None, invalid options, an
                empty prompt, or more tokens than position embeddings.
        """
        if not self.config.is_decoder:
            raise ValueError("generate needs config.is_decoder = True, found False")
        if attention_mask is None:
            attention_mask = input_ids.ne(self.config.padding_id)
        if seed is not None:
            generator = torch.Generator().manual_seed(seed)
        return generate(
            self,
            input_ids,
            attention_mask,
            GenerationOptions(**options),
            encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=encoder_attention_mask,
            generator=generator,
            process_logits=process_logits,
        )
