"""Embeddings, pre-LayerNorm layers, encoder and pooler, with the module names of the checkpoint.

Shape suffixes: T packed tokens, B batch, S sequence, R keys, D hidden, A this rank's heads times head size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from model.config import Activation, XLMRobertaXLConfig
from model.layers.attention import KeyValue, SelfAttention
from model.layers.dropout import DropoutSeed, dropout
from model.packing import PackedBatch
from model.parallel.group import ShardGroup
from model.parallel.layers import ColumnParallelLinear, RowParallelLinear, VocabParallelEmbedding, embedding_table

R = TypeVar("R")

ACTIVATIONS: dict[str, Activation] = {
    "gelu": F.gelu,
    "relu": F.relu,
    "silu": F.silu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
}


class Embeddings(nn.Module):
    """Word + token type + (absolute) position embeddings; XL has no LayerNorm here."""

    def __init__(self, config: XLMRobertaXLConfig, group: ShardGroup) -> None:
        super().__init__()
        size, pad = config.hidden_size, config.pad_token_id
        self.pad_token_id = pad
        # Positions are counted from the padding id.
        self.max_num_tokens = 0 if pad is None else config.max_num_tokens
        self.is_absolute = config.position_embedding_type == "absolute"
        self.word_embeddings = VocabParallelEmbedding(config.vocab_size, size, group, padding_idx=pad)
        self.position_embeddings = embedding_table(config.max_position_embeddings, size, padding_idx=pad)
        self.token_type_embeddings = embedding_table(config.type_vocab_size, size)
        self.dropout_prob = config.hidden_dropout_prob

    def forward_packed(self, batch: PackedBatch, seed: DropoutSeed | None = None) -> Tensor:
        """Embeddings `[T, D]` of a packed batch, token type 0 throughout."""
        hidden_TD: Tensor = self.word_embeddings(batch.input_ids) + self.token_type_embeddings.weight[0]
        if self.is_absolute:
            hidden_TD = hidden_TD + self.position_embeddings(batch.position_ids)
        return dropout(hidden_TD, self.dropout_prob, seed)

    def forward(
        self,
        input_ids: Tensor | None,
        token_type_ids: Tensor | None,
        position_ids: Tensor | None,
        inputs_embeds: Tensor | None,
        num_cached: int = 0,
        seed: DropoutSeed | None = None,
    ) -> Tensor:
        """Embeddings `[B, S, D]` of tokens that follow `num_cached` earlier ones."""
        if inputs_embeds is None:
            assert input_ids is not None
            inputs_embeds = self.word_embeddings(input_ids)
        assert inputs_embeds is not None
        if token_type_ids is None:
            token_type_ids = torch.zeros(inputs_embeds.shape[:2], dtype=torch.long, device=inputs_embeds.device)
        hidden_BSD: Tensor = inputs_embeds + self.token_type_embeddings(token_type_ids)
        if self.is_absolute:
            if position_ids is None:
                position_ids = self._position_ids(input_ids, inputs_embeds, num_cached)
            hidden_BSD = hidden_BSD + self.position_embeddings(position_ids)
        return dropout(hidden_BSD, self.dropout_prob, seed)

    def _position_ids(self, input_ids: Tensor | None, inputs_embeds: Tensor, num_cached: int) -> Tensor:
        """Positions count the tokens that are not padding, from `pad_token_id + 1` (fairseq's make_positions)."""
        if self.pad_token_id is None:
            raise ValueError(
                "config.pad_token_id must be set where position_ids are not given, found None: "
                "positions are counted from it"
            )
        length = num_cached + inputs_embeds.shape[1]
        if input_ids is None:
            counts = torch.arange(num_cached + 1, length + 1, device=inputs_embeds.device)[None, :]
        else:
            is_token = input_ids.ne(self.pad_token_id).long()
            counts = (is_token.cumsum(dim=1) + num_cached) * is_token
        # Look at the maximum only if needed, since it synchronizes a GPU. Traces must not branch.
        is_long = not torch.jit.is_tracing() and length > self.max_num_tokens
        if is_long and (num_tokens := int(counts.max())) > self.max_num_tokens:
            raise ValueError(f"a sequence must hold at most {self.max_num_tokens} tokens, found {num_tokens}")
        return counts + self.pad_token_id


class SelfOutput(nn.Module):
    """Projection of the attention context, dropout, residual."""

    def __init__(self, config: XLMRobertaXLConfig, group: ShardGroup, num_heads: int) -> None:
        super().__init__()
        head_size = config.head_size
        self.dense = RowParallelLinear(num_heads * head_size, config.hidden_size, group, unit_size=head_size)
        self.dropout_prob = config.hidden_dropout_prob

    def forward(self, context: Tensor, residual: Tensor, seed: DropoutSeed | None = None) -> Tensor:
        """`[..., A]` and `[..., D]` to `[..., D]`."""
        return dropout(self.dense(context), self.dropout_prob, seed) + residual


class Attention(nn.Module):
    """LayerNorm, attention, projection, residual."""

    def __init__(
        self, config: XLMRobertaXLConfig, group: ShardGroup, position_embedding_type: str, heads: list[int]
    ) -> None:
        super().__init__()
        self.self_attn_layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.self = SelfAttention(config, group, position_embedding_type, heads)
        self.output = SelfOutput(config, group, len(heads))

    def forward_packed(self, hidden_TD: Tensor, batch: PackedBatch, seed: DropoutSeed | None = None) -> Tensor:
        """Self-attention of each packed sequence, `[T, D]`."""
        context = self.self.forward_packed(self.self_attn_layer_norm(hidden_TD), batch)
        return self.output(context, hidden_TD, seed and seed.child("output"))

    def forward(
        self,
        hidden_BSD: Tensor,
        mask: Tensor | None,
        head_mask: Tensor | None,
        encoder_hidden: Tensor | None,
        past: KeyValue | None,
        seed: DropoutSeed | None,
    ) -> tuple[Tensor, Tensor, KeyValue]:
        """As `SelfAttention.forward`, with the projected context added to the input."""
        normed = self.self_attn_layer_norm(hidden_BSD)
        context, probs, key_value = self.self(
            normed, mask, head_mask, encoder_hidden, past, seed and seed.child("weights")
        )
        return self.output(context, hidden_BSD, seed and seed.child("output")), probs, key_value


class Intermediate(nn.Module):
    """Up-projection and activation of the feed-forward block."""

    def __init__(self, config: XLMRobertaXLConfig, group: ShardGroup) -> None:
        super().__init__()
        self.dense = ColumnParallelLinear(config.hidden_size, config.intermediate_size, group)
        act = config.hidden_act
        self.activation = ACTIVATIONS[act] if isinstance(act, str) else act

    def forward(self, x: Tensor) -> Tensor:
        """`[..., D]` to this rank's part of `[..., intermediate_size]`."""
        return self.activation(self.dense(x))


class Output(nn.Module):
    """Down-projection of the feed-forward block, and residual; XL has no dropout here."""

    def __init__(self, config: XLMRobertaXLConfig, group: ShardGroup) -> None:
        super().__init__()
        self.dense = RowParallelLinear(config.intermediate_size, config.hidden_size, group)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Back to `[..., D]`."""
        return self.dense(x) + residual


@dataclass
class LayerOutput:
    """The output of one layer: states, attention weights (self and cross), cache entries."""

    hidden: Tensor
    probs: Tensor
    cross_probs: Tensor | None
    cache: tuple[Tensor, ...]


class Layer(nn.Module):
    """One pre-LayerNorm transformer layer, with cross-attention where the configuration asks for it.

    Only heads of self-attention can be pruned, as in Transformers.
    """

    def __init__(self, config: XLMRobertaXLConfig, group: ShardGroup, index: int) -> None:
        super().__init__()
        heads = config.kept_heads(index)
        self.attention = Attention(config, group, config.position_embedding_type, heads)
        if config.add_cross_attention:
            all_heads = list(range(config.num_attention_heads))
            self.crossattention = Attention(config, group, "absolute", all_heads)
        self.intermediate = Intermediate(config, group)
        self.output = Output(config, group)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward_packed(self, hidden_TD: Tensor, batch: PackedBatch, seed: DropoutSeed | None = None) -> Tensor:
        """`[T, D]` to `[T, D]`."""
        attention_seed = seed and seed.child("attention")
        return self._feed_forward(self.attention.forward_packed(hidden_TD, batch, attention_seed))

    def forward(
        self,
        hidden_BSD: Tensor,
        mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        encoder_hidden: Tensor | None = None,
        encoder_mask: Tensor | None = None,
        past: tuple[Tensor, ...] | None = None,
        seed: DropoutSeed | None = None,
    ) -> LayerOutput:
        """`past` holds keys and values of self-attention, then those of cross-attention."""
        self_past = None if past is None else (past[0], past[1])
        hidden, probs, self_cache = self.attention(
            hidden_BSD, mask, head_mask, None, self_past, seed and seed.child("attention")
        )
        cross_probs, cache = None, tuple(self_cache)
        if encoder_hidden is not None:
            cross_past = None if past is None or len(past) < 4 else (past[2], past[3])
            hidden, cross_probs, cross_cache = self.crossattention(
                hidden, encoder_mask, head_mask, encoder_hidden, cross_past, seed and seed.child("crossattention")
            )
            cache += tuple(cross_cache)
        return LayerOutput(self._feed_forward(hidden), probs, cross_probs, cache)

    def _feed_forward(self, hidden: Tensor) -> Tensor:
        return self.output(self.intermediate(self.LayerNorm(hidden)), hidden)


class Encoder(nn.Module):
    """The layers and the final LayerNorm, which gives the last hidden state."""

    def __init__(self, config: XLMRobertaXLConfig, group: ShardGroup) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config, group, index) for index in range(config.num_hidden_layers))
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.gradient_checkpointing = False

    @property
    def layers(self) -> list[Layer]:
        """The layers, first to last."""
        return cast(list[Layer], list(self.layer))

    def forward_packed(self, hidden_TD: Tensor, batch: PackedBatch, seed: DropoutSeed | None = None) -> Tensor:
        """`[T, D]` to normalised `[T, D]`."""
        for index, layer in enumerate(self.layers):
            hidden_TD = self.run(layer.forward_packed, hidden_TD, batch, seed and seed.child(index))
        return self.LayerNorm(hidden_TD)

    def run(self, function: Callable[..., R], *args: object) -> R:
        """Call a layer, recomputing it in the backward pass if gradient checkpointing is on."""
        if self.gradient_checkpointing and self.training:
            return cast(R, checkpoint(function, *args, use_reentrant=False))
        return function(*args)


class Pooler(nn.Module):
    """tanh of a linear layer on the first token."""

    def __init__(self, config: XLMRobertaXLConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, first_token_BD: Tensor) -> Tensor:
        """States of `<s>` `[B, D]` to `[B, D]`."""
        return torch.tanh(self.dense(first_token_BD))
