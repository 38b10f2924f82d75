"""Detect rows whose logits are not finite during generation, without failing the whole batch."""

import torch
from torch import Tensor


class LogitsWatch:
    """A logits processor that records which rows have finite logits at each step; the device is not synchronized.

    Sampling from NaN raises for all rows, and the argmax of NaN is a plausible token. So a row without finite
    logits is ended instead, and its continuation must not be used.

    Args:
        num_usable: ids from here on are never chosen; their logits are ignored.
        end_token_id: ends a continuation.
    """

    def __init__(self, num_usable: int, end_token_id: int) -> None:
        self._num_usable = num_usable
        self._end_token_id = end_token_id
        self._is_finite: list[Tensor] = []

    def __call__(self, logits_BV: Tensor) -> Tensor:
        """Allow only the end token in rows with NaN or infinity among the usable ids; others stay."""
        lowest_B, highest_B = torch.aminmax(logits_BV[:, : self._num_usable], dim=1)
        is_finite_B = lowest_B.isfinite() & highest_B.isfinite()
        self._is_finite.append(is_finite_B)
        logits_BV.masked_fill_(~is_finite_B[:, None], -torch.inf)
        logits_BV[:, self._end_token_id].masked_fill_(~is_finite_B, 0.0)
        return logits_BV

    def is_finite(self, num_tokens_N: Tensor, num_beams: int) -> Tensor:
        """Whether the logits that each continuation was chosen by were finite, bool `[N]`.

        Args:
            num_tokens_N: int64, tokens of each before its end token; what follows that is padding.
            num_beams: rows of each prompt. With several, all steps count, since any beam might have won.
        """
        is_finite_SN = torch.stack(self._is_finite).unflatten(1, (-1, num_beams)).all(dim=2)
        if num_beams > 1:
            return is_finite_SN.all(dim=0)
        step_S1 = torch.arange(len(is_finite_SN), device=num_tokens_N.device)[:, None]
        return (is_finite_SN | (step_S1 > num_tokens_N)).all(dim=0)
