"""Labels of pieces to entities and words, by the functions of Transformers' pipeline and plainly."""

import itertools
import re
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.pipelines.token_classification import AggregationStrategy, TokenClassificationPipeline

from tests.parity.tasks.reference import Reference, is_tie

# Scripts without blanks between words: their words are cut on purpose otherwise than in Transformers.
UNSPACED = re.compile("[\u0e00-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\uff01-\uffef]")


def entities_of(
    reference: Reference, text: str, probabilities: Tensor, strategy: str
) -> list[dict[str, Any]] | None:
    """What Transformers' pipeline makes of the oracle's `[tokens, labels]`, told where words begin: behind blanks.

    By itself it takes every unknown piece, and what follows a bare metaspace, for a word. None where the fast
    tokenizer cuts the text otherwise, where scores are near to each other, or for unspaced scripts if words count.
    """
    offsets = reference.offsets(text)
    if offsets is None or is_tie(probabilities) or (strategy != "simple" and UNSPACED.search(text)):
        return None
    pipeline = TokenClassificationPipeline(
        model=reference.checkpoints.oracle("entities"), tokenizer=reference.fast, device=torch.device("cpu")
    )
    pieces = pipeline.gather_pre_entities(
        text,
        np.array(reference.body(text)),
        probabilities.numpy(),
        np.array(offsets),
        np.zeros(len(offsets), dtype=int),
        AggregationStrategy.SIMPLE,
    )
    words = [len(text[: piece["start"] + 1].split()) for piece in pieces]
    for piece, word, word_before in zip(pieces, words, [0, *words], strict=False):
        piece["is_subword"] = word == word_before
    groups = pipeline.aggregate(pieces, AggregationStrategy(strategy))
    return _without_overlaps([group for group in groups if group["entity_group"] != "O"])


def _without_overlaps(entities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Characters that two entities share are the later one's; an entity without any is none."""
    for entity, following in itertools.pairwise(entities):
        entity["end"] = min(entity["end"], following["start"])
    return [entity for entity in entities if entity["start"] < entity["end"]]


def word_probabilities(probabilities: Tensor, num_pieces: list[int], strategy: str) -> Tensor:
    """`[words, labels]`: of the first piece, the mean over the pieces, or of the piece that is surest."""
    words = []
    for pieces in probabilities.split(num_pieces):
        match strategy:
            case "first":
                words.append(pieces[0])
            case "average":
                words.append(pieces.mean(0))
            case "max":
                words.append(pieces[int(pieces.max(1).values.argmax())])
    return torch.stack(words)
