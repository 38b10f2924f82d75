from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.pipelines.question_answering import decode_spans

from pipeline.tasks.question_answering import AnswerWindows, answers_column

TYPE = pa.struct(
    [
        pa.field("answer", pa.string()),
        pa.field("start", pa.int32()),
        pa.field("end", pa.int32()),
        pa.field("score", pa.float32()),
        pa.field("null_score", pa.float32()),
    ]
)


@dataclass(frozen=True)
class Window:
    """Tokens `begin:end` of the context of `row`; of these `owned` are its own."""

    row: int
    begin: int
    owned: list[bool]
    start_logits: list[float]
    end_logits: list[float]
    null_score: float


def context_of(num_tokens: int) -> str:
    """Tokens of two characters and a blank: token i is at 3 i."""
    return " ".join(f"{i:02}" for i in range(num_tokens))


def cut(num_tokens: int, size: int, stride: int) -> list[tuple[int, list[bool]]]:
    """Begin of each window, and for which of its tokens it has the most context (the earliest of equals)."""
    begins = [*range(0, max(num_tokens - size, 0), size - stride), max(num_tokens - size, 0)]
    ends = [min(begin + size, num_tokens) for begin in begins]

    def owner(token: int) -> int:
        room = [
            min(token - begin, end - 1 - token) if begin <= token < end else -1
            for begin, end in zip(begins, ends, strict=True)
        ]
        return room.index(max(room))

    return [
        (begin, [owner(token) == i for token in range(begin, end)])
        for i, (begin, end) in enumerate(zip(begins, ends, strict=True))
    ]


@st.composite
def fragments(draw: st.DrawFn) -> tuple[list[str], list[Window]]:
    # Few different logits, so that spans are often equally good.
    logit = st.one_of(st.integers(-2, 2).map(float), st.floats(-20, 20, width=32))
    contexts, windows = [], []
    for row in range(draw(st.integers(0, 4))):
        num_tokens = draw(st.integers(0, 12))
        contexts.append(context_of(num_tokens))
        size = draw(st.integers(2, 13))
        for begin, owned in cut(num_tokens, size, draw(st.integers(0, size - 1))):
            starts, ends = (draw(st.lists(logit, min_size=len(owned), max_size=len(owned))) for _ in range(2))
            windows.append(Window(row, begin, owned, starts, ends, draw(logit)))
    return contexts, draw(st.permutations(windows))


def arrays(windows: list[Window]) -> AnswerWindows:
    tokens = np.array([w.begin + i for w in windows for i in range(len(w.owned))], dtype=np.int32)
    return AnswerWindows(
        row=np.array([w.row for w in windows], dtype=np.int32),
        window_offsets=np.cumsum([0, *(len(w.owned) for w in windows)], dtype=np.int64),
        begins=3 * tokens,
        ends=3 * tokens + 2,
        start_logits=np.array([x for w in windows for x in w.start_logits], dtype=np.float32),
        end_logits=np.array([x for w in windows for x in w.end_logits], dtype=np.float32),
        owned=np.array([x for w in windows for x in w.owned], dtype=np.bool_),
        null_scores=np.array([w.null_score for w in windows], dtype=np.float32),
    )


def answered(contexts: list[str | None], windows: list[Window], max_answer_tokens: int) -> dict[int, Any]:
    column, rows = answers_column(arrays(windows), contexts, max_answer_tokens)
    column.validate(full=True)
    assert column.type == TYPE
    assert rows.dtype == np.int32
    return dict(zip(rows.tolist(), column.to_pylist(), strict=True))


def brute_force(row: int, windows: list[Window], max_answer_tokens: int) -> tuple[float, int, int] | None:
    """Minus the score, first and last token of the best of all spans."""
    candidates = [
        (-(w.start_logits[i] + w.end_logits[j]), w.begin + i, w.begin + j)
        for w in windows
        if w.row == row
        for i in range(len(w.owned))
        for j in range(i, min(i + max_answer_tokens, len(w.owned)))
        if w.owned[i]
    ]
    return min(candidates, default=None)


@given(fragments(), st.integers(1, 14))
def test_the_answer_is_the_best_of_all_spans(
    fragment: tuple[list[str], list[Window]], max_answer_tokens: int
) -> None:
    contexts, windows = fragment
    found = answered(contexts, windows, max_answer_tokens)
    assert list(found) == [row for row, context in enumerate(contexts) if context]
    for row, value in found.items():
        best = brute_force(row, windows, max_answer_tokens)
        assert best is not None
        score, first, last = best
        assert (value["start"], value["end"]) == (3 * first, 3 * last + 2)
        assert value["score"] == np.float32(-score)
        assert value["answer"] == contexts[row][value["start"] : value["end"]]
        assert value["null_score"] == min(w.null_score for w in windows if w.row == row)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32))
def test_in_one_window_it_is_the_span_of_transformers(num_tokens: int, max_answer_tokens: int, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(scale=3, size=(2, num_tokens)).astype(np.float32)
    window = Window(0, 0, [True] * num_tokens, *logits.tolist(), 0.0)
    value = answered([context_of(num_tokens)], [window], max_answer_tokens)[0]
    start, end = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    [first], [last], _ = decode_spans(start, end, 1, max_answer_tokens, np.ones(num_tokens))
    assert (value["start"], value["end"]) == (3 * first, 3 * last + 2)
    assert value["score"] == pytest.approx(float(logits[0, first] + logits[1, last]))


def test_a_span_starts_only_where_its_window_has_the_most_context() -> None:
    owner = Window(0, 0, [True, True, False], [1, 0, 0], [0, 2, 0], null_score=4)
    other = Window(0, 1, [False, True, True], [9, 0, 0], [9, 9, 9], null_score=-1)
    value = answered([context_of(4)], [owner, other], 30)[0]
    assert (value["answer"], value["score"], value["null_score"]) == ("02", 9.0, -1.0)


def test_a_span_may_end_where_its_window_has_less_context_than_the_next() -> None:
    first = Window(0, 0, [True, True, False], [0, 5, 0], [0, 0, 5], null_score=0)
    second = Window(0, 2, [True, True], [0, 0], [0, 0], null_score=0)
    assert answered([context_of(4)], [first, second], 30)[0]["answer"] == "01 02"


def test_of_equally_good_spans_it_is_the_earliest_and_then_the_shortest() -> None:
    crossing = Window(0, 0, [True] * 4, [0, 0, -9, -9], [-9, -9, 0, 0], null_score=0)
    assert answered([context_of(4)], [crossing], 30)[0]["answer"] == "00 01 02"
    early = Window(0, 0, [True] * 4, [1, 0, -9, -9], [-9, -9, 0, 0], null_score=0)
    late = Window(0, 4, [True] * 2, [1, 0], [0, 0], null_score=0)
    for windows in ([early, late], [late, early]):
        assert answered([context_of(6)], windows, 30)[0]["answer"] == "00 01 02"
    first = Window(0, 0, [True, True, False], [0, -9, -9], [-9, -9, 0], null_score=0)
    second = Window(0, 1, [False, True, True], [-9, 0, -9], [-9, 0, -9], null_score=0)
    for windows in ([first, second], [second, first]):
        assert answered([context_of(4)], windows, 30)[0]["answer"] == "00 01 02"


def test_the_order_of_windows_does_not_matter_where_pieces_share_a_character() -> None:
    def answer(begins: list[int], ends: list[int]) -> Any:
        zeros = np.zeros(2, dtype=np.float32)
        windows = AnswerWindows(
            row=np.zeros(2, dtype=np.int32),
            window_offsets=np.array([0, 1, 2]),
            begins=np.array(begins, dtype=np.int32),
            ends=np.array(ends, dtype=np.int32),
            start_logits=zeros,
            end_logits=zeros,
            owned=np.ones(2, dtype=np.bool_),
            null_scores=zeros,
        )
        return answers_column(windows, ["北京"])[0][0]["answer"].as_py()

    assert answer([0, 0], [1, 2]) == answer([0, 0], [2, 1]) == "北"


def test_thirty_tokens_are_an_answer_unless_told_otherwise() -> None:
    window = Window(0, 0, [True] * 40, [9] + [0] * 39, [0] * 29 + [1] + [9] * 10, null_score=0)
    column, _ = answers_column(arrays([window]), [context_of(40)])
    assert column[0]["answer"].as_py() == context_of(30)
    assert answered([context_of(40)], [window], 31)[0]["answer"] == context_of(31)


def test_rows_without_context_have_no_answer() -> None:
    windows = [Window(2, 0, [True], [1], [1], 0), Window(1, 0, [], [], [], 0)]
    assert list(answered([None, "", "00"], windows, 30)) == [2]
    assert answered([None], [], 30) == {}
