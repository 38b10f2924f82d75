"""Greedy search, and sampling with temperature, top-k and nucleus filtering.

Shape suffixes: B rows, S prompt length, V vocabulary.
"""

import torch
from torch import Tensor

from model.generation.incremental_decoder import Decoder
from model.generation.options import GenerationOptions


def continue_rows(
    decoder: Decoder,
    prompt_BS: Tensor,
    options: GenerationOptions,
    num_new_tokens: int,
    generator: torch.Generator | None,
) -> Tensor:
    """Greedy search or sampling; returns `[B, up to num_new_tokens]`, padded after the end of each row."""
    config, group = decoder.model.config, decoder.model.group
    ends = torch.tensor(options.ends(config), dtype=torch.long, device=prompt_BS.device)
    finished_B = torch.zeros(len(prompt_BS), dtype=torch.bool, device=prompt_BS.device)
    new_ids, generated = prompt_BS, []
    for _ in range(num_new_tokens):
        logits_BV = decoder.next_logits(new_ids)
        if options.do_sample:
            chosen_B = draw(filter_logits(logits_BV, options.temperature, options.top_k, options.top_p), generator)
            group.broadcast_(chosen_B)
        else:
            chosen_B = logits_BV.argmax(dim=-1)
        chosen_B = chosen_B.masked_fill(finished_B, options.padding(config))
        generated.append(chosen_B)
        finished_B |= torch.isin(chosen_B, ends)
        if finished_B.all():
            break
        new_ids = chosen_B[:, None]
    return torch.stack(generated, dim=1)


def draw(logits_BV: Tensor, generator: torch.Generator | None) -> Tensor:
    """Sample one id per row from the softmax, on the device of the generator."""
    probs_BV = logits_BV.softmax(dim=-1)
    if generator is not None:
        probs_BV = probs_BV.to(generator.device)
    return torch.multinomial(probs_BV, 1, generator=generator).squeeze(1).to(logits_BV.device)


def filter_logits(logits_BV: Tensor, temperature: float, top_k: int | None, top_p: float) -> Tensor:
    """Divide by the temperature, keep the `top_k` best ids and of these the nucleus; set others to -inf."""
    logits_BV = logits_BV / temperature
    if top_k:
        logits_BV = keep_top_k(logits_BV, top_k)
    if top_p < 1:
        logits_BV = keep_nucleus(logits_BV, top_p)
    return logits_BV


def keep_top_k(logits_BV: Tensor, top_k: int) -> Tensor:
    """Keep the `top_k` best ids of each row, and those that tie with the last of them."""
    worst_kept_B1 = logits_BV.topk(min(top_k, logits_BV.shape[-1]), dim=-1).values[:, -1:]
    return logits_BV.masked_fill(logits_BV < worst_kept_B1, -torch.inf)


def keep_nucleus(logits_BV: Tensor, top_p: float) -> Tensor:
    """Keep the fewest most probable ids whose probabilities add up to `top_p`; at least one.

    Holtzman et al. 2020, The Curious Case of Neural Text Degeneration (https://arxiv.org/abs/1904.09751).
    """
    sorted_BV, order_BV = logits_BV.sort(dim=-1)
    is_tail_BV = sorted_BV.softmax(dim=-1).cumsum(dim=-1) <= 1 - top_p
    is_tail_BV[:, -1] = False
    return logits_BV.masked_fill(is_tail_BV.scatter(1, order_BV, is_tail_BV), -torch.inf)
