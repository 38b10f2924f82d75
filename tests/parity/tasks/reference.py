"""The other side: Transformers' slow tokenizer and task classes, one row at a time, and plain windows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import XLMRobertaTokenizer, XLMRobertaTokenizerFast

from tests.task_checkpoints import TaskCheckpoints

TOLERANCE = 1e-4
BOS, EOS = 0, 2


@dataclass(frozen=True)
class Reference:
    """Oracles by the name of their checkpoint, and the tokenizers that go with them.

    The fast tokenizer is here for its character offsets, which the slow one has not.
    """

    checkpoints: TaskCheckpoints
    slow: XLMRobertaTokenizer
    fast: XLMRobertaTokenizerFast

    def ids(self, text: str, pair: str | None = None) -> list[int]:
        """`<s> text </s>` or `<s> text </s></s> pair </s>`."""
        ids: list[int] = self.slow(text, pair)["input_ids"]
        return ids

    def body(self, text: str) -> list[int]:
        """The tokens of a text alone."""
        ids: list[int] = self.slow(text, add_special_tokens=False)["input_ids"]
        return ids

    def logits(self, name: str, ids: Sequence[int]) -> Tensor:
        """Of one sequence: `[labels]`, or `[tokens, labels]`."""
        with torch.inference_mode():
            return self.checkpoints.oracle(name)(torch.tensor([ids])).logits[0]

    def states(self, name: str, ids: Sequence[int]) -> Tensor:
        """Last hidden states `[tokens, hidden]`."""
        with torch.inference_mode():
            return self.checkpoints.oracle(name).roberta(torch.tensor([ids]))[0][0]

    def layers(self, name: str, ids: Sequence[int]) -> list[Tensor]:
        """Hidden states `[tokens, hidden]` of each layer, the embeddings first."""
        with torch.inference_mode():
            output = self.checkpoints.oracle(name).roberta(torch.tensor([ids]), output_hidden_states=True)
        return [states[0] for states in output.hidden_states]

    def vocabulary_logits(self, name: str, ids: Sequence[int], positions: Sequence[int]) -> Tensor:
        """`[positions, vocabulary]` of a language model, there and nowhere else."""
        states = self.states(name, ids)[list(positions)]
        with torch.inference_mode():
            return self.checkpoints.oracle(name).lm_head(states)

    def start_and_end(self, ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Logits `[tokens]` of the beginning and the end of an answer, fp64."""
        with torch.inference_mode():
            output = self.checkpoints.oracle("answer")(torch.tensor([ids]))
        return output.start_logits[0].double().numpy(), output.end_logits[0].double().numpy()

    def offsets(self, text: str) -> list[tuple[int, int]] | None:
        """Characters of each token of the body; None where the fast tokenizer cuts the text otherwise."""
        encoded = self.fast(text, add_special_tokens=False, return_offsets_mapping=True)
        spans: list[tuple[int, int]] = encoded["offset_mapping"]
        return spans if encoded["input_ids"] == self.body(text) else None


def assert_near(
    found: Any, expected: Any, where: object, *, absolute: float = TOLERANCE, relative: float = TOLERANCE
) -> None:
    """Numbers, or lists of numbers, within the tolerance."""
    np.testing.assert_allclose(
        np.asarray(found, dtype=np.float64),
        np.asarray(expected, dtype=np.float64),
        rtol=relative,
        atol=absolute,
        err_msg=str(where),
    )


def is_tie(values: Tensor | np.ndarray, number: int = 1) -> bool:
    """Whether the best `number` values of the last axis are not clear: nearer than the tolerance to the next."""
    scores = torch.as_tensor(values)
    best = scores.topk(min(number + 1, scores.shape[-1]), dim=-1).values
    return bool((best[..., :-1] - best[..., 1:]).lt(TOLERANCE).any())


@dataclass(frozen=True)
class PlainWindow:
    """Tokens `begin` to `end` of a body; `owned` are those that no other window shows with more context."""

    begin: int
    end: int
    owned: list[int]


def plain_windows(num_tokens: int, capacity: int, stride: int) -> list[PlainWindow]:
    """Windows that overlap by `stride` (by half of a window at most), the last moved back to be full; each token
    belongs to the one that shows the most tokens on its poorer side, where the borders of the text itself do not
    count; of equals, to the later."""
    stride = min(stride, capacity // 2)
    begins = [0]
    while begins[-1] + capacity < num_tokens:
        begins.append(min(begins[-1] + capacity - stride, num_tokens - capacity))
    spans = [(begin, min(begin + capacity, num_tokens)) for begin in begins]

    def context(token: int, window: int) -> float:
        begin, end = spans[window]
        if not begin <= token < end:
            return -1.0
        before = float("inf") if begin == 0 else token - begin
        after = float("inf") if end == num_tokens else end - 1 - token
        return min(before, after)

    owners = [max(range(len(spans)), key=lambda w: (context(t, w), w)) for t in range(num_tokens)]
    return [
        PlainWindow(begin, end, [t for t in range(begin, end) if owners[t] == w])
        for w, (begin, end) in enumerate(spans)
    ]


def framed_windows(
    body: Sequence[int],
    window: int,
    stride: int,
    *,
    prefix: Sequence[int] = (BOS,),
    suffix: Sequence[int] = (EOS,),
) -> Iterator[tuple[list[int], PlainWindow]]:
    """`prefix slice suffix` of at most `window` tokens for each window of a body."""
    for plain in plain_windows(len(body), window - len(prefix) - len(suffix), stride):
        yield [*prefix, *body[plain.begin : plain.end], *suffix], plain


def weighted_mean(values: Sequence[Tensor], windows: Sequence[PlainWindow]) -> Tensor:
    """Mean over windows, weighted by the tokens that each owns; fp64."""
    weights = torch.tensor([len(window.owned) for window in windows], dtype=torch.float64)
    return (torch.stack(list(values)).double() * weights[:, None]).sum(0) / weights.sum()


def token_rows(states: Sequence[Tensor], windows: Sequence[PlainWindow], prefix_size: int = 1) -> Tensor:
    """What each token of the body got in the window that owns it, in the order of the body."""
    rows = {
        token: values[token - window.begin + prefix_size]
        for values, window in zip(states, windows, strict=True)
        for token in window.owned
    }
    return torch.stack([rows[token] for token in range(len(rows))])
