"""Keep NaN where a query or key is not finite, which some softmax attention kernels turn into zeros.

torch's scaled dot product attention on CPUs finds the largest score of a query by a maximum that may skip NaN. If
that is -inf, it treats all keys as masked and returns zeros, where softmax gives NaN. So a query that overflows in
float16 would get a plausible result. Causal flash attention on GPUs does the same where all scores are -inf.
"""

from torch import Tensor


def keep_not_finite_(context_TNK: Tensor, q_TNK: Tensor, k_TNK: Tensor) -> Tensor:
    """Set the context to NaN where the token's own query or key is not finite; nothing else changes.

    That is enough: if a token's query and key are both finite, its own score is finite.
    """
    # Zero times infinity or NaN is NaN.
    return context_TNK.add_(q_TNK.detach(), alpha=0).add_(k_TNK.detach(), alpha=0)
