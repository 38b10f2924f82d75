"""The configuration of a trunk, as far as the shapes of its tensors tell it."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from model.checkpoints.errors import CheckpointError
from model.config import XLMRobertaXLConfig

WORDS = "roberta.embeddings.word_embeddings.weight"
POSITIONS = "roberta.embeddings.position_embeddings.weight"
TOKEN_TYPES = "roberta.embeddings.token_type_embeddings.weight"
FIRST_FC1 = "roberta.encoder.layer.0.intermediate.dense.weight"
# Both released models have 32 heads, of size 80 (XL) and 128 (XXL); the tensors do not say so.
_RELEASED_HEADS = {2560: 32, 4096: 32}
_LAYER = re.compile(r"^roberta\.encoder\.layer\.(\d+)\.")


def config_of_tensors(
    tensors: Mapping[str, Tensor], num_attention_heads: int | None, **options: Any
) -> XLMRobertaXLConfig:
    """The configuration of a trunk under its Hugging Face names; `options` are what its shapes do not tell.

    Args:
        tensors: with `WORDS`, `POSITIONS` and `FIRST_FC1`, each of 2 dimensions.
        num_attention_heads: None for that of the released models.

    Raises:
        CheckpointError: the number of attention heads is not known.
        ValueError: sizes that no model can have.
    """
    vocab_size, hidden_size = tensors[WORDS].shape
    heads = num_attention_heads or _RELEASED_HEADS.get(hidden_size)
    if heads is None:
        raise CheckpointError(
            f"found nothing that tells how many attention heads a model of width {hidden_size} has, expected the "
            f"width of a released model ({', '.join(map(str, _RELEASED_HEADS))}); name it: num_attention_heads "
            "(--num-attention-heads of the command)"
        )
    layers = [int(match[1]) for name in tensors if (match := _LAYER.match(name))]
    return XLMRobertaXLConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        num_hidden_layers=max(layers) + 1,
        num_attention_heads=heads,
        intermediate_size=tensors[FIRST_FC1].shape[0],
        max_position_embeddings=tensors[POSITIONS].shape[0],
        torch_dtype=tensors[WORDS].dtype,
        **options,
    )
