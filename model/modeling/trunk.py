"""XLMRobertaXLModel: embeddings, encoder and optional pooler, for packed or padded batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from model.config import XLMRobertaXLConfig
from model.inference.encoder import InferenceEncoder
from model.inference.layer_reader import LayerReader, SliceReaders
from model.inference.quantization import Quantization, refuse_quantization
from model.layers.dropout import DropoutSeed
from model.layers.encoder import Embeddings, Encoder, Pooler
from model.modeling.pretrained import XLMRobertaXLPreTrainedModel
from model.outputs import BaseModelOutputWithPoolingAndCrossAttentions, Cache
from model.packing import PackedBatch
from model.parallel.group import ShardGroup


class XLMRobertaXLModel(XLMRobertaXLPreTrainedModel):
    """The trunk without a head: an encoder, or a decoder if `config.is_decoder`.

    Args:
        config: geometry and options.
        add_pooling_layer: build the pooler (tanh of a linear layer on `<s>`).
        group: the ranks that share the model; default one rank.
    """

    def __init__(
        self, config: XLMRobertaXLConfig, add_pooling_layer: bool = True, *, group: ShardGroup | None = None
    ) -> None:
        super().__init__(config, group)
        with torch.device("meta"):
            self.embeddings = Embeddings(config, self.group)
            self.encoder = Encoder(config, self.group)
            self.pooler = Pooler(config) if add_pooling_layer else None
        self.fused: InferenceEncoder | None = None
        self.initialize()

    def fuse(self, quantization: Quantization | None = None) -> None:
        """Convert the loaded layers to the fastest form for packed batches (`model.inference.encoder`).

        Afterwards the trunk has no gradient and no padded forward, and cannot be saved. Layers are converted one
        at a time, so that at most one of them is in memory twice.

        Args:
            quantization: quantize the products of the layers to eight bits; the trunk must be in bf16.

        Raises:
            ValueError: this device, dtype or layer cannot be quantized in this way.
        """
        if quantization is not None:
            matrices = [p for p in self.encoder.layer.parameters() if p.dim() == 2]
            refuse_quantization(quantization, self.device, self.dtype, [p.shape for p in matrices])
        self.eval()
        self.fused = InferenceEncoder(self.encoder, quantization, self.config, self.group)

    def forward_packed(
        self, batch: PackedBatch, readers: Sequence[LayerReader] = (), *, num_layers: int | None = None
    ) -> Tensor:
        """Hidden states `[num_tokens, hidden_size]` of packed sequences, without padding.

        Dropout applies in `train()` to the embeddings and residual branches; attention weights are not dropped.

        Args:
            readers: read further layers while they pass, up to `num_layers`; a trunk that was fused only.
            num_layers: after how many layers to stop; the states are `hidden_states[num_layers]` of the padded
                forward. Default: all, for the final states. Fewer only of a trunk that was fused.

        Raises:
            ValueError: relative positions, which need the padded forward; a sequence that is too long; no
                `config.pad_token_id`; or layers of a trunk that was not fused.
        """
        if self.config.position_embedding_type != "absolute":
            raise ValueError(
                "forward_packed needs config.position_embedding_type = 'absolute', found "
                f"{self.config.position_embedding_type!r}; use forward(input_ids, attention_mask)"
            )
        if batch.max_seqlen > self.config.max_num_tokens:
            raise ValueError(
                f"a sequence must hold at most {self.config.max_num_tokens} tokens, found {batch.max_seqlen}"
            )
        if self.fused is not None:
            assert not self.training, "fused layers have no dropout"
            all_layers = self.config.num_hidden_layers
            depth = all_layers if num_layers is None else num_layers
            if not max((reader.num_layers for reader in readers), default=0) <= depth <= all_layers:
                raise ValueError(
                    f"num_layers must be at most {all_layers}, and no less than the layers that are read, found "
                    f"{depth}"
                )
            return self._forward_fused(self.fused, batch, readers, depth)
        if readers or num_layers is not None:
            raise ValueError(
                "single layers are read of a fused trunk; call fuse() first, or forward(output_hidden_states=True)"
            )
        seed = self.dropout_seed()
        hidden_TD: Tensor = self.embeddings.forward_packed(batch, seed and seed.child("embeddings"))
        return self.encoder.forward_packed(hidden_TD, batch, seed)

    @torch.no_grad()
    def _forward_fused(
        self, fused: InferenceEncoder, batch: PackedBatch, readers: Sequence[LayerReader], num_layers: int
    ) -> Tensor:
        """The whole batch at once on a GPU, else one slice of whole sequences after the other."""
        if self.device.type == "cuda" and batch.lengths:
            of_batch = SliceReaders(readers, batch)
            return fused.forward_(self.embeddings.forward_packed(batch), batch, of_batch, num_layers)
        states_TD = torch.empty(
            len(batch.input_ids), self.config.hidden_size, dtype=self.dtype, device=self.device
        )
        begin = first_sequence = 0
        for part in batch.split(fused.slice_tokens):
            end = begin + len(part.input_ids)
            of_part = SliceReaders(readers, part, begin, first_sequence)
            fused.fill_(states_TD[begin:end], self.embeddings, of_part, num_layers)
            begin, first_sequence = end, first_sequence + part.num_sequences
        return states_TD

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
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Hidden states of a padded batch, with every option of the Transformers class.

        Args:
            input_ids: `[batch, length]`; or `inputs_embeds` `[batch, length, hidden_size]` instead.
            attention_mask: 1 for tokens to attend to, 0 for others; `[batch, cached + length]`, or
                `[batch, length, cached + length]` for a custom mask.
            token_type_ids: `[batch, length]`, default 0.
            position_ids: `[batch, length]`, default counted from `config.pad_token_id + 1`.
            head_mask: `[num_heads]` or `[num_layers, num_heads]` including pruned heads, 1 to keep a head.
            encoder_hidden_states: `[batch, other length, hidden_size]`, for a decoder with cross-attention.
            encoder_attention_mask: `[batch, other length]` or `[batch, length, other length]`.
            past_key_values: the cache of an earlier call: per layer, keys and values `[batch, heads of this
                rank, cached, head_size]`, then those of cross-attention.
            use_cache: return the cache (decoders only).
            output_attentions, output_hidden_states, return_dict: default as in the configuration.

        Returns:
            BaseModelOutputWithPoolingAndCrossAttentions, or with `return_dict=False` the tuple
            (last_hidden_state, pooler_output, past_key_values, hidden_states, attentions, cross_attentions)
            without those that were not asked for.

        Raises:
            ValueError: both or neither of `input_ids` and `inputs_embeds`, a mask of another shape, a sequence
                that is too long for the position embeddings, no `position_ids` where `config.pad_token_id` is
                None, or a trunk that was fused.
        """
        config = self.config
        if self.fused is not None:
            raise ValueError("a trunk that was fused computes packed batches only; load it again to pad")
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("exactly one of input_ids and inputs_embeds must be given")
        if encoder_hidden_states is not None and config.is_decoder and not config.add_cross_attention:
            raise ValueError("encoder_hidden_states need config.add_cross_attention = True, found False")
        seed = self.dropout_seed()
        num_cached = past_key_values[0][0].shape[2] if past_key_values is not None else 0
        hidden = self.embeddings(
            input_ids, token_type_ids, position_ids, inputs_embeds, num_cached, seed and seed.child("embeddings")
        )
        if attention_mask is None:
            attention_mask = hidden.new_ones(hidden.shape[0], num_cached + hidden.shape[1])
        mask = self_attention_mask(
            attention_mask, hidden.shape[1], is_causal=config.is_decoder, dtype=hidden.dtype
        )
        if not config.is_decoder:
            encoder_hidden_states = None
        encoder_mask = cross_attention_mask(encoder_hidden_states, encoder_attention_mask, dtype=hidden.dtype)
        inputs = _LayerInputs(
            mask, self._head_mask(head_mask), encoder_hidden_states, encoder_mask, past_key_values, seed
        )
        wanted = self._wanted(use_cache, output_attentions, output_hidden_states)
        output = self._run_layers(hidden, inputs, wanted)
        if config.use_return_dict if return_dict is None else return_dict:
            return output
        options = (output.past_key_values, output.hidden_states, output.attentions, output.cross_attentions)
        return (output.last_hidden_state, output.pooler_output, *(o for o in options if o is not None))

    def _wanted(
        self, use_cache: bool | None, output_attentions: bool | None, output_hidden_states: bool | None
    ) -> "_Wanted":
        config = self.config
        use_cache = config.is_decoder and (config.use_cache if use_cache is None else use_cache)
        if self.encoder.gradient_checkpointing and self.training:
            use_cache = False
        return _Wanted(
            use_cache,
            config.output_attentions if output_attentions is None else output_attentions,
            config.output_hidden_states if output_hidden_states is None else output_hidden_states,
        )

    def _run_layers(
        self, hidden: Tensor, inputs: "_LayerInputs", wanted: "_Wanted"
    ) -> BaseModelOutputWithPoolingAndCrossAttentions:
        """Run the layers, keeping the requested outputs of each, then the final LayerNorm and the pooler."""
        states, attentions, cross_attentions, caches = [], [], [], []
        for index, layer in enumerate(self.encoder.layers):
            if wanted.hidden_states:
                states.append(hidden)
            output = self.encoder.run(layer, hidden, *inputs.of_layer(index))
            hidden = output.hidden
            if wanted.attentions:
                attentions.append(layer.attention.self.all_heads(output.probs))
                if output.cross_probs is not None:
                    cross_attentions.append(layer.crossattention.self.all_heads(output.cross_probs))
            if wanted.cache:
                caches.append(output.cache)
        hidden = self.encoder.LayerNorm(hidden)
        return BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=hidden,
            pooler_output=None if self.pooler is None else self.pooler(hidden[:, 0]),
            hidden_states=(*states, hidden) if wanted.hidden_states else None,
            past_key_values=tuple(caches) if wanted.cache else None,
            attentions=tuple(attentions) if wanted.attentions else None,
            cross_attentions=tuple(cross_attentions) if cross_attentions else None,
        )

    def _head_mask(self, head_mask: Tensor | None) -> Tensor | None:
        """`[num_layers, num_heads]`."""
        if head_mask is None:
            return None
        config = self.config
        if head_mask.dim() == 1:
            head_mask = head_mask.expand(config.num_hidden_layers, -1)
        if head_mask.shape != (config.num_hidden_layers, config.num_attention_heads):
            raise ValueError(
                f"head_mask must be [{config.num_attention_heads}] or [{config.num_hidden_layers}, "
                f"{config.num_attention_heads}], found {list(head_mask.shape)}"
            )
        return head_mask.to(self.dtype)


@dataclass(frozen=True)
class _Wanted:
    """Which optional outputs to keep."""

    cache: bool
    attentions: bool
    hidden_states: bool


@dataclass(frozen=True)
class _LayerInputs:
    """The inputs of the layers besides the hidden states."""

    mask: Tensor
    head_mask: Tensor | None
    encoder_hidden: Tensor | None
    encoder_mask: Tensor | None
    past: Cache | None
    seed: DropoutSeed | None

    def of_layer(self, index: int) -> tuple[object, ...]:
        """The arguments of `Layer.forward` after the hidden states."""
        return (
            self.mask,
            None if self.head_mask is None else self.head_mask[index],
            self.encoder_hidden,
            self.encoder_mask,
            None if self.past is None else self.past[index],
            self.seed and self.seed.child(index),
        )


def broadcast_mask(mask: Tensor) -> Tensor:
    """`[batch, keys]` or `[batch, queries, keys]` to `[batch, 1, queries or 1, keys]`.

    Raises:
        ValueError: a mask with another number of dimensions.
    """
    if mask.dim() == 3:
        return mask[:, None]
    if mask.dim() == 2:
        return mask[:, None, None]
    raise ValueError(f"a mask must be [batch, keys] or [batch, queries, keys], found {list(mask.shape)}")


def self_attention_mask(mask: Tensor, num_queries: int, *, is_causal: bool, dtype: torch.dtype) -> Tensor:
    """The mask to add to the scores of self-attention; only `[batch, keys]` masks are made causal."""
    keep = broadcast_mask(mask)
    if is_causal and mask.dim() == 2:
        num_keys = mask.shape[-1]
        causal = torch.ones(num_queries, num_keys, device=mask.device).tril(num_keys - num_queries)
        keep = keep * causal
    return additive_mask(keep, dtype)


def cross_attention_mask(
    encoder_hidden: Tensor | None, mask: Tensor | None, *, dtype: torch.dtype
) -> Tensor | None:
    """The mask to add to the scores of cross-attention; without one, all states are attended to."""
    if encoder_hidden is None:
        return None
    if mask is None:
        mask = encoder_hidden.new_ones(encoder_hidden.shape[:2])
    return additive_mask(broadcast_mask(mask), dtype)


def additive_mask(keep: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where `keep` is 1, the minimum of the dtype where it is 0."""
    return (1.0 - keep.to(dtype)) * torch.finfo(dtype).min
