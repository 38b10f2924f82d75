"""What the corpus's rows should get: a plain loop over Transformers, tokenizer and all, one row at a time."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from transformers import XLMRobertaTokenizer

from model import (
    XLMRobertaXLConfig,
    XLMRobertaXLForMaskedLM,
    XLMRobertaXLForSequenceClassification,
    XLMRobertaXLModel,
)
from pipeline.batching.masking import Vocabulary, sample_masks
from pipeline.batching.row_random import row_hashes
from tests.integration.corpus import PROBLEMS, Corpus
from tests.oracle import oracle_of
from tests.tiny_tokenizer import VOCAB_FILE_NAME

MAX_NUM_TOKENS = 512
Values = dict[str, NDArray[np.float64]]


class Oracle:
    """The heads of `corpus.job_of`, on Transformers' own classes."""

    def __init__(self, corpus: Corpus) -> None:
        self._tokenizer = XLMRobertaTokenizer(str(corpus.model / VOCAB_FILE_NAME))
        self._topic = oracle_of(XLMRobertaXLForSequenceClassification.from_pretrained(corpus.model))
        # A head of a directory without a trunk, on the trunk of the job.
        genres = XLMRobertaXLForSequenceClassification(XLMRobertaXLConfig.from_pretrained(corpus.genres))
        genres.load_state_dict(load_file(corpus.genres / "model.safetensors"), strict=False)
        self._genres = oracle_of(genres)
        self._genres.roberta = self._topic.roberta
        self._trunk = oracle_of(XLMRobertaXLModel.from_pretrained(corpus.model))
        self._other = oracle_of(XLMRobertaXLModel.from_pretrained(corpus.other_model))
        self._masked_lm = oracle_of(XLMRobertaXLForMaskedLM.from_pretrained(corpus.model))

    def encode(self, *texts: str, is_cut: bool = True) -> list[int]:
        """Token ids of a text or a pair."""
        ids: list[int] = self._tokenizer(*texts, truncation=is_cut, max_length=MAX_NUM_TOKENS)["input_ids"]
        return ids

    @torch.inference_mode()
    def values(self, row: dict[str, Any], file: str, index: int) -> Values:
        """By head, the logits, the vector or the losses of the masked tokens; no entry where there is no text."""
        text = row["text"]
        if text in PROBLEMS:
            return {}
        pair, ids = self.encode(text, row["hypothesis"]), self.encode(text)
        mean = self._trunk(torch.tensor([ids])).last_hidden_state[0].mean(dim=0)
        tensors = {
            "genres": self._genres(torch.tensor([pair])).logits[0],
            "topic": self._topic(torch.tensor([ids])).logits[0],
            "vector": mean / mean.norm(),
            "pooled": self._other(torch.tensor([ids])).pooler_output[0],
            "loss": self._losses(ids, file, index),
        }
        return {name: tensor.double().numpy() for name, tensor in tensors.items()}

    def _losses(self, ids: list[int], file: str, index: int) -> torch.Tensor:
        """Which tokens are masked is ours to say; what they cost is not."""
        # Tokens are counted from the first of the text; what stands around it is never masked.
        position = np.arange(len(ids)) - 1
        masked, labels = sample_masks(
            np.array(ids, dtype=np.int32),
            np.zeros(len(ids), dtype=np.int64),
            position,
            (position >= 0) & (position < len(ids) - 2),
            row_hashes(file, index, 1),
            probability=0.3,
            seed=5,
            vocabulary=Vocabulary(self._tokenizer.mask_token_id),
        )
        logits = self._masked_lm(torch.tensor(masked[None])).logits[0]
        chosen = torch.from_numpy(np.flatnonzero(labels != -100))
        expected = torch.from_numpy(labels)[chosen].long()
        return torch.nn.functional.cross_entropy(logits[chosen], expected, reduction="none")
