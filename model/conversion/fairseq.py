"""Read fairseq checkpoints (`model.pt` of XLM-R XL and XXL) under their Hugging Face names.

Beware: XL and XXL always have the LayerNorm after the last layer, although fairseq itself drops it on loading if
the key `version` is missing.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from model.checkpoints.errors import CheckpointError
from model.checkpoints.torch_file import named_tensors
from model.config import XLMRobertaXLConfig
from model.conversion.fairseq_file import load_fairseq_file, stored_num_heads
from model.conversion.geometry import FIRST_FC1, POSITIONS, TOKEN_TYPES, WORDS, config_of_tensors

MODEL_FILE = "model.pt"
PROJECTION = "lm_head.decoder.weight"

_ENCODER = r"^(?:encoder|decoder)\.sentence_encoder\."
_LAYER = _ENCODER + r"layers\.(\d+)\."
_LM_HEAD = r"^(?:encoder|decoder)\.lm_head\."
_KIND = r"\.(weight|bias)$"
_NEW_LAYER = r"roberta.encoder.layer.\1."
_KEYS = [
    (re.compile(pattern), name)
    for pattern, name in (
        (_ENCODER + r"embed_tokens\.weight$", WORDS),
        (_ENCODER + r"embed_positions\.weight$", POSITIONS),
        (_ENCODER + r"layer_norm" + _KIND, r"roberta.encoder.LayerNorm.\1"),
        (_LAYER + r"self_attn\.q_proj" + _KIND, _NEW_LAYER + r"attention.self.query.\2"),
        (_LAYER + r"self_attn\.k_proj" + _KIND, _NEW_LAYER + r"attention.self.key.\2"),
        (_LAYER + r"self_attn\.v_proj" + _KIND, _NEW_LAYER + r"attention.self.value.\2"),
        (_LAYER + r"self_attn\.out_proj" + _KIND, _NEW_LAYER + r"attention.output.dense.\2"),
        (_LAYER + r"self_attn_layer_norm" + _KIND, _NEW_LAYER + r"attention.self_attn_layer_norm.\2"),
        (_LAYER + r"fc1" + _KIND, _NEW_LAYER + r"intermediate.dense.\2"),
        (_LAYER + r"fc2" + _KIND, _NEW_LAYER + r"output.dense.\2"),
        (_LAYER + r"final_layer_norm" + _KIND, _NEW_LAYER + r"LayerNorm.\2"),
        (_LM_HEAD + r"dense" + _KIND, r"lm_head.dense.\1"),
        (_LM_HEAD + r"layer_norm" + _KIND, r"lm_head.layer_norm.\1"),
        (_LM_HEAD + r"weight$", PROJECTION),
        (_LM_HEAD + r"bias$", "lm_head.bias"),
    )
]
_NO_WEIGHTS = re.compile(_ENCODER + r"(?:version|embed_positions\._float_tensor)$")
_HEAD = re.compile(r"^classification_heads\.(.+)\.(dense|out_proj)" + _KIND)
_POST_LAYER_NORM = re.compile(_ENCODER + r"(?:emb_layer_norm|layernorm_embedding)\.")


class FairseqCheckpoint:
    """The tensors of a `model.pt` under their Hugging Face names, and the configuration.

    Args:
        path: the file.
        head: name of the classification head to convert; default the only one, if there is one.
        num_attention_heads: if the file does not say; default that of the released models.

    Attributes:
        config: geometry, stored dtype, number of labels.
        head: name of the converted classification head, or None.
        heads: names of all classification heads.

    Raises CheckpointError: no such file or head, an unknown key, or a model that is not XL or XXL.
    """

    def __init__(
        self, path: str | Path, *, head: str | None = None, num_attention_heads: int | None = None
    ) -> None:
        self.path = Path(path)
        state = load_fairseq_file(self.path)
        stored = state.get("model") if isinstance(state, dict) else None
        if not isinstance(stored, dict):
            raise CheckpointError(f"{path} must hold a dictionary with the tensors of a model under 'model'")
        stored = named_tensors(self.path, stored)
        self.heads = sorted({match[1] for name in stored if (match := _HEAD.match(name))})
        self.head = self._choose_head(head)
        self._tensors = dict(self._renamed(stored))
        for name in (WORDS, POSITIONS, FIRST_FC1):
            if name not in self._tensors:
                raise CheckpointError(f"{path} is no RoBERTa model of fairseq: it lacks what would be {name}")
        for name in (WORDS, POSITIONS, FIRST_FC1, PROJECTION, "classifier.out_proj.weight"):
            if name in self._tensors and self._tensors[name].dim() != 2:
                raise CheckpointError(f"{path}: tensor {name} must have 2 dimensions, found {self.shape(name)}")
        self._add_token_types()
        is_tied = self._drop_tied_projection()
        try:
            self.config = self._config(num_attention_heads or stored_num_heads(state), is_tied)
        except ValueError as error:
            raise CheckpointError(f"{path}: {error}") from error

    @property
    def names(self) -> list[str]:
        """Hugging Face names of the tensors."""
        return list(self._tensors)

    def shape(self, name: str) -> list[int]:
        """Shape of a tensor."""
        return list(self._tensors[name].shape)

    def read(self, name: str) -> Tensor:
        """One tensor in the stored dtype, a view of the mapped file."""
        return self._tensors[name]

    def _choose_head(self, head: str | None) -> str | None:
        if head is None:
            if len(self.heads) > 1:
                raise CheckpointError(f"{self.path} holds several classification heads, name one: {self.heads}")
            return self.heads[0] if self.heads else None
        if head not in self.heads:
            raise CheckpointError(f"{self.path} must hold the classification head {head!r}, found {self.heads}")
        return head

    def _renamed(self, stored: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
        for name, tensor in stored.items():
            if _NO_WEIGHTS.match(name):
                continue
            if match := _HEAD.match(name):
                if match[1] == self.head:
                    yield f"classifier.{match[2]}.{match[3]}", tensor
                continue
            if _POST_LAYER_NORM.match(name):
                raise CheckpointError(
                    f"{self.path} is not XLM-R XL or XXL: it has a LayerNorm on its embeddings ({name}), as XLM-R "
                    "base and large have"
                )
            yield self._rename(name), tensor

    def _rename(self, name: str) -> str:
        for pattern, new_name in _KEYS:
            if match := pattern.match(name):
                return match.expand(new_name)
        raise CheckpointError(f"{self.path} holds a tensor that no XLM-R XL or XXL has: {name}")

    def _add_token_types(self) -> None:
        """Add token type embeddings of zeros, since fairseq has none."""
        words = self._tensors[WORDS]
        self._tensors[TOKEN_TYPES] = torch.zeros(1, words.shape[1], dtype=words.dtype)

    def _drop_tied_projection(self) -> bool:
        """Remove the projection of the LM head if it equals the word embeddings; returns whether it does."""
        words, projection = self._tensors[WORDS], self._tensors.get(PROJECTION)
        if projection is not None and not torch.equal(projection, words):
            return False
        self._tensors.pop(PROJECTION, None)
        return True

    def _config(self, num_attention_heads: int | None, tie_word_embeddings: bool) -> XLMRobertaXLConfig:
        out_proj = self._tensors.get("classifier.out_proj.weight")
        num_labels = 2 if out_proj is None else out_proj.shape[0]
        return config_of_tensors(
            self._tensors, num_attention_heads, num_labels=num_labels, tie_word_embeddings=tie_word_embeddings
        )
