"""Classifiers: the trunk with a head for sequences, tokens, choices or answer spans."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from model.config import XLMRobertaXLConfig
from model.layers.dropout import dropout
from model.layers.heads import ClassificationHead, LabelHead
from model.layers.loss import classification_loss, infer_problem_type
from model.modeling.task_model import TaskModel
from model.outputs import (
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from model.packing import PackedBatch
from model.tokenizer.special_tokens import IGNORE_INDEX


class XLMRobertaXLForSequenceClassification(TaskModel):
    """The trunk with a classification or regression head on `<s>`."""

    def _add_head(self, config: XLMRobertaXLConfig) -> None:
        self.classifier = ClassificationHead(config)

    def forward_packed(self, batch: PackedBatch) -> Tensor:
        """fp32 logits `[num_sequences, num_labels]` of packed sequences."""
        hidden_TD = self.roberta.forward_packed(batch)
        logits: Tensor = self.classifier(hidden_TD[batch.first_positions], self.dropout_seed())
        return logits

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Logits of every sequence, and the loss if labels are given.

        Args:
            labels: `[batch]` class ids or values, or `[batch, num_labels]` 0 and 1 (float) for several labels.
                `config.problem_type` chooses mean squared error, cross entropy or binary cross entropy; if it is
                None, it is inferred from the first labels and set, as in Transformers.

        Returns:
            SequenceClassifierOutput with fp32 loss and logits `[batch, num_labels]`, or a tuple.
        """
        outputs = self.roberta(
            input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds,
            output_attentions=output_attentions, output_hidden_states=output_hidden_states, return_dict=True,
        )  # fmt: skip
        logits = self.classifier(outputs[0][:, 0], self.dropout_seed())
        loss = None
        if labels is not None:
            if self.config.problem_type is None:
                self.config.problem_type = infer_problem_type(labels, self.config.num_labels)
            loss = classification_loss(logits, labels, self.config.problem_type)
        return self._output(SequenceClassifierOutput, outputs, return_dict, loss=loss, logits=logits)


class XLMRobertaXLForMultipleChoice(TaskModel):
    """The trunk (with pooler) and one score per choice."""

    has_pooler = True

    def _add_head(self, config: XLMRobertaXLConfig) -> None:
        self.classifier = LabelHead(config, 1)

    def forward(
        self,
        input_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Scores of the choices of each row; the argument order is that of Transformers.

        Args:
            input_ids and the like: `[batch, num_choices, length]`.
            labels: `[batch]`, index of the right choice.

        Returns:
            MultipleChoiceModelOutput with fp32 loss and logits `[batch, num_choices]`, or a tuple.
        """
        source = input_ids if input_ids is not None else inputs_embeds
        if source is None:
            raise ValueError("exactly one of input_ids and inputs_embeds must be given")
        num_choices = source.shape[1]
        input_ids, token_type_ids, attention_mask, position_ids, inputs_embeds = (
            None if x is None else x.flatten(0, 1)
            for x in (input_ids, token_type_ids, attention_mask, position_ids, inputs_embeds)
        )
        outputs = self.roberta(
            input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds,
            output_attentions=output_attentions, output_hidden_states=output_hidden_states, return_dict=True,
        )  # fmt: skip
        pooled = dropout(outputs[1], self.config.hidden_dropout_prob, self.dropout_seed())
        logits = self.classifier(pooled).view(-1, num_choices)
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return self._output(MultipleChoiceModelOutput, outputs, return_dict, loss=loss, logits=logits)


class XLMRobertaXLForTokenClassification(TaskModel):
    """The trunk with one label per token."""

    def _add_head(self, config: XLMRobertaXLConfig) -> None:
        self.classifier = LabelHead(config)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Logits of every token, and the loss over the labelled tokens that the mask keeps.

        Args:
            labels: `[batch, length]`, class ids or -100.

        Returns:
            TokenClassifierOutput with fp32 loss and logits `[batch, length, num_labels]`, or a tuple.
        """
        outputs = self.roberta(
            input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds,
            output_attentions=output_attentions, output_hidden_states=output_hidden_states, return_dict=True,
        )  # fmt: skip
        logits = self.classifier(dropout(outputs[0], self.config.head_dropout_prob, self.dropout_seed()))
        loss = None
        if labels is not None:
            if attention_mask is not None and attention_mask.shape == labels.shape:
                labels = labels.masked_fill(attention_mask != 1, IGNORE_INDEX)
            loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE_INDEX)
        return self._output(TokenClassifierOutput, outputs, return_dict, loss=loss, logits=logits)


class XLMRobertaXLForQuestionAnswering(TaskModel):
    """The trunk with start and end scores of an answer span."""

    def _add_head(self, config: XLMRobertaXLConfig) -> None:
        self.qa_outputs = LabelHead(config)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Start and end scores of every token, and the mean of both losses if positions are given.

        Args:
            start_positions, end_positions: `[batch]`, token indices; those outside the sequence are ignored.

        Returns:
            QuestionAnsweringModelOutput with fp32 loss and scores `[batch, length]`, or a tuple.
        """
        outputs = self.roberta(
            input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds,
            output_attentions=output_attentions, output_hidden_states=output_hidden_states, return_dict=True,
        )  # fmt: skip
        start_logits, end_logits = (x.squeeze(-1).contiguous() for x in self.qa_outputs(outputs[0]).split(1, -1))
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = (_span_loss(start_logits, start_positions) + _span_loss(end_logits, end_positions)) / 2
        return self._output(
            QuestionAnsweringModelOutput, outputs, return_dict,
            loss=loss, start_logits=start_logits, end_logits=end_logits,
        )  # fmt: skip


def _span_loss(logits: Tensor, positions: Tensor) -> Tensor:
    """Cross entropy over token positions; a position outside the sequence is clamped to its length and ignored."""
    length = logits.shape[1]
    return F.cross_entropy(logits, positions.view(-1).clamp(0, length), ignore_index=length)
