"""Queries and keys that are not finite, which some kernels of softmax attention turn into zeros.

torch's scaled dot product attention on CPUs finds the highest score of a query by a maximum that may skip NaN.
If that is -inf, it takes all keys for masked and returns zeros, where softmax gives NaN: a plausible result of a
query that overflows in float16. So does causal flash attention on GPUs where all scores are -inf.
"""

from torch import Tensor


def keep_not_finite_(context_TNK: Tensor, q_TNK: Tensor, k_TNK: Tensor) -> Tensor:
    """The context, NaN where the token's own query or key is not finite; nothing else changes.

    That is enough: a finite query has no such scores where its own token's key is finite.
    """
    # Zero times infinity or NaN is NaN.
    return context_TNK.add_(q_TNK.detach(), alpha=0).add_(k_TNK.detach(), alpha=0)
