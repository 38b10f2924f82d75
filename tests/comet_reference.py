"""What COMET makes of a pair, spelled out with Transformers in float64, one sequence at a time.

As `UnifiedMetric` and `XCOMETMetric` of COMET 2.2.7 do it; texts are joined as `concat_sequences` joins them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
import transformers
from torch import Tensor

from model import XLMRobertaXLTokenizer
from tests.comet_checkpoints import HIDDEN_SIZES, NUM_HEADS, NUM_LAYERS

MAX_TOKENS = 512
POINTS = {"minor": 1, "major": 5, "critical": 10}


@dataclass(frozen=True)
class Judgement:
    """The scores of the sequences, the score of all, and the spans: class, first and last token, probability."""

    sub_scores: list[float]
    score: float
    mqm_score: float | None
    spans: list[tuple[int, int, int, float]]


def joined(*parts: Sequence[int]) -> list[int]:
    """`<s> a </s></s> b </s>`, each part cut to 508 tokens, all of it to 512."""
    ids = [0]
    for i, part in enumerate(parts):
        ids += [2] * (i > 0) + [*part[: MAX_TOKENS - 4], 2]
    return ids[:MAX_TOKENS]


class Reference:
    """A metric with these tensors, as COMET stores them."""

    def __init__(self, tensors: Mapping[str, Tensor], hparams: Mapping[str, Any]) -> None:
        self.hparams = hparams
        self.tensors = {name: tensor.double() for name, tensor in tensors.items()}
        words = tensors["encoder.model.embeddings.word_embeddings.weight"]
        config = transformers.XLMRobertaXLConfig(
            vocab_size=len(words), hidden_size=words.shape[1], num_hidden_layers=NUM_LAYERS,
            num_attention_heads=NUM_HEADS, max_position_embeddings=MAX_TOKENS + 2, attn_implementation="eager",
            intermediate_size=len(tensors["encoder.model.encoder.layer.0.intermediate.dense.bias"]),
        )  # fmt: skip
        self.trunk = transformers.XLMRobertaXLModel(config, add_pooling_layer=False).double().eval()
        prefix = "encoder.model."
        self.trunk.load_state_dict(
            {name.removeprefix(prefix): t for name, t in self.tensors.items() if name.startswith(prefix)},
            strict=False,
        )

    def judge(self, tokenizer: XLMRobertaXLTokenizer, mt: str, src: str, ref: str | None = None) -> Judgement:
        """The results for one row."""
        given = [text for text in (mt, src, ref) if text is not None]
        parts = [tokenizer(text, add_special_tokens=False).input_ids for text in given]
        sequences = [joined(parts[0], parts[1])]
        if ref is not None:
            sequences += [joined(parts[0], parts[2]), joined(*parts)]
        scores, probabilities = zip(*map(self._predict, sequences), strict=True)
        num_tokens = min(len(parts[0]), MAX_TOKENS - 4) + 2
        spans = self._spans(probabilities, num_tokens) if probabilities[0] is not None else []
        if self.hparams["class_identifier"] == "unified_metric":
            return Judgement(list(scores), sum(scores) / len(scores), None, spans)
        points = sum(POINTS[self.hparams["error_labels"][label - 1]] for label, _, _, _ in spans)
        mqm = (25 - min(points, 25)) / 25
        capped = [min(score, 1.0) for score in scores]
        if ref is None:
            return Judgement(capped, 0.78 * capped[0] + 0.22 * mqm, mqm, spans)
        total = 0.12 * capped[0] + 0.33 * capped[1] + 0.33 * capped[2] + 0.22 * mqm
        return Judgement(list(scores), total, mqm, spans)

    @torch.inference_mode()
    def _predict(self, ids: list[int]) -> tuple[float, Tensor | None]:
        states = self.trunk(torch.tensor([ids]), output_hidden_states=True).hidden_states
        layers = [layer[0] for layer in states]
        if self.hparams["layer_norm"]:
            layers = [(x - x.mean()) / (x.var(correction=0) + 1e-12).sqrt() for x in layers]
        scalars = torch.cat(
            [self.tensors[f"layerwise_attention.scalar_parameters.{i}"] for i in range(len(layers))]
        )
        weights = scalars.softmax(0) if self.hparams["layer_transformation"] == "softmax" else sparse(scalars)
        x = self.tensors["layerwise_attention.gamma"] * sum(w * h[0] for w, h in zip(weights, layers, strict=True))
        for i in range(len(HIDDEN_SIZES) + 1):
            weight, bias = (self.tensors[f"estimator.ff.{3 * i}.{kind}"] for kind in ("weight", "bias"))
            x = weight @ x + bias
            if i < len(HIDDEN_SIZES):
                x = x.tanh()
        if "hidden2tag.weight" not in self.tensors:
            return float(x), None
        logits = states[self.hparams["word_layer"]][0] @ self.tensors["hidden2tag.weight"].T
        return float(x), (logits + self.tensors["hidden2tag.bias"]).softmax(-1)

    def _spans(self, probabilities: Sequence[Any], num_tokens: int) -> list[tuple[int, int, int, float]]:
        weights = [1.0] if len(probabilities) == 1 else [0.1667, 0.3333, 0.5]
        mixed = sum(w * p[:num_tokens] for w, p in zip(weights, probabilities, strict=True))
        score, label = mixed.max(-1)
        found = []
        for is_error, run in groupby(range(num_tokens), key=lambda i: bool(label[i] > 0)):
            tokens = list(run)
            if is_error and tokens[-1] < num_tokens - 1:
                found.append((int(label[tokens[0]]), tokens[0], tokens[-1], float(score[tokens].mean())))
        return found


def sparse(values: Tensor) -> Tensor:
    """Sparsemax by bisection: the threshold above which the excess of the values sums to 1."""
    low, high = values.max() - 1, values.max()
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if (values - middle).clamp(min=0).sum() > 1 else (low, middle)
    return (values - low).clamp(min=0)
