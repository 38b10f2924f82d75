"""Generate text with a causal model: greedily, by sampling or by beam search."""

import torch
from torch import Tensor

from model.generation.beam_search import beam_search
from model.generation.incremental_decoder import CausalModel, Decoder, LogitsProcessor
from model.generation.options import GenerationOptions
from model.generation.sampling import continue_rows


def generate(
    model: CausalModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    options: GenerationOptions,
    *,
    encoder_hidden_states: Tensor | None = None,
    encoder_attention_mask: Tensor | None = None,
    generator: torch.Generator | None = None,
    process_logits: LogitsProcessor | None = None,
) -> Tensor:
    """Prompts and their continuations; see `XLMRobertaXLForCausalLM.generate`."""
    num_new_tokens = options.num_new_tokens(model.config, attention_mask)
    ids, mask = align_right(input_ids, attention_mask)
    # Every beam, and every sample, of a prompt starts with the same tokens.
    num_copies = max(options.num_beams, options.num_return_sequences)
    encoder_hidden, encoder_mask = (
        None if x is None else x.repeat_interleave(num_copies, dim=0)
        for x in (encoder_hidden_states, encoder_attention_mask)
    )
    mask = mask.repeat_interleave(num_copies, dim=0)
    decoder = Decoder(model, mask, options, encoder_hidden, encoder_mask, process_logits)
    ids = ids.repeat_interleave(num_copies, dim=0)
    if options.num_beams > 1:
        continuation = beam_search(decoder, ids, options, num_new_tokens)
    else:
        continuation = continue_rows(decoder, ids, options, num_new_tokens, generator)
    return torch.cat([input_ids.repeat_interleave(options.num_return_sequences, dim=0), continuation], dim=1)


def align_right(input_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Move masked tokens to the left, so that every row ends with its last token.

    Raises ValueError: a row without any token.
    """
    mask = mask.bool().long()
    if not bool(mask.any(dim=1).all()):
        raise ValueError(
            "every prompt must hold at least one token that attention_mask keeps, found none in a row"
        )
    order = mask.argsort(dim=1, stable=True)
    return input_ids.gather(1, order), mask.gather(1, order)
