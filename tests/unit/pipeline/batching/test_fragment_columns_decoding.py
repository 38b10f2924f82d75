"""Results of ranks to columns: what each head's numbers mean, and that they go to the right rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from pipeline.arrays.windows import WindowArrays
from pipeline.batching.fragment_columns import decode_head
from pipeline.heads.resolve import Head
from pipeline.tasks.contract import OrderedHeadOutput
from tests.tiny_tokenizer import write_tiny_sentencepiece
from tests.unit.pipeline.compute_fixtures import make_head, tiny_config, window_column, window_of

NAMES = {0: "sport", 1: "politics", 2: "music"}
SMALL = {"hidden_size": 4, "intermediate_size": 8}
LOGITS = hnp.arrays(np.float32, st.tuples(st.integers(1, 8), st.just(3)), elements=st.floats(-60, 60, width=32))


def classifier(problem_type: str | None) -> Head:
    config = tiny_config(id2label=NAMES, problem_type=problem_type)
    return make_head("topic", "text-classification", config=config)


def vector_head(**options: Any) -> Head:
    return make_head("vector", "embedding", config=tiny_config(**SMALL), **options)


@dataclass(frozen=True)
class Decoder:
    """Decodes results of windows, and checks the column's type on the way."""

    tokenizer: XLMRobertaXLTokenizer

    def __call__(
        self,
        head: Head,
        values: NDArray[np.float32],
        rows: list[list[int]],
        windows: list[int] | None = None,
        *more: NDArray[np.float32],
    ) -> list[Any]:
        """The column as Python values.

        Args:
            rows: for each row, how many tokens each of its windows owns.
            windows: which window each of `values` is of; default each one in turn.
            more: further arrays of values.
        """
        column = window_column([[window_of([0, *[9] * size, 2]) for size in sizes] for sizes in rows])
        results = OrderedHeadOutput(
            (values, *more),
            np.arange(len(values)) if windows is None else np.array(windows, dtype=np.int64),
            np.zeros(len(values), dtype=np.int64),
            WindowArrays.from_column(column),
            pa.nulls(len(rows)),
            head.config,
            self.tokenizer,
        )
        found = decode_head(head, results)
        found.validate(full=True)
        assert found.type == head.output_type
        assert len(found) == len(rows)
        return list(found.to_pylist())


@pytest.fixture(scope="module")
def decode(tmp_path_factory: pytest.TempPathFactory) -> Decoder:
    return Decoder(XLMRobertaXLTokenizer(write_tiny_sentencepiece(tmp_path_factory.mktemp("tokenizer"))))


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    exp = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True).astype(np.float64))
    return np.asarray(exp / exp.sum(axis=1, keepdims=True))


@given(LOGITS)
@pytest.mark.parametrize("problem_type", ["single_label_classification", None])
def test_a_single_label_is_the_likeliest_with_its_softmax(
    decode: Decoder, problem_type: str | None, logits: NDArray[np.float32]
) -> None:
    for row, value in enumerate(decode(classifier(problem_type), logits, [[1]] * len(logits))):
        best = int(np.argmax(logits[row]))
        assert value["label"] == NAMES[best]
        assert value["score"] == pytest.approx(softmax(logits)[row, best], rel=1e-6)
        assert value["logits"] == logits[row].tolist()


@pytest.mark.parametrize("problem_type", ["single_label_classification", "multi_label_classification"])
def test_logits_can_be_left_out(decode: Decoder, problem_type: str) -> None:
    logits = np.array([[4, 0, 0]], dtype=np.float32)
    config = tiny_config(id2label=NAMES, problem_type=problem_type)
    bare = make_head("topic", "text-classification", config=config, logits=False)
    [value, missing] = decode(bare, logits, [[1], []])
    [full, _] = decode(classifier(problem_type), logits, [[1], []])
    assert full.pop("logits") == [4, 0, 0]
    assert value == full
    assert missing is None


@given(LOGITS)
def test_of_several_labels_each_holds_at_one_half(decode: Decoder, logits: NDArray[np.float32]) -> None:
    found = decode(classifier("multi_label_classification"), logits, [[1]] * len(logits))
    scores = (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)
    for row, value in enumerate(found):
        assert value["labels"] == [NAMES[i] for i in range(3) if scores[row, i] >= 0.5]
        assert value["scores"] == pytest.approx(scores[row].tolist(), rel=1e-6)
        assert value["logits"] == logits[row].tolist()


def test_a_logit_of_zero_holds(decode: Decoder) -> None:
    logits = np.array([[0, -1e-3, 1e-3]], dtype=np.float32)
    [value] = decode(classifier("multi_label_classification"), logits, [[1]])
    assert value["labels"] == ["sport", "music"]


@pytest.mark.parametrize("problem_type", ["regression", None])
def test_regression_is_the_bare_value(decode: Decoder, problem_type: str | None) -> None:
    config = tiny_config(num_labels=1, problem_type=problem_type)
    head = make_head("quality", "text-classification", config=config)
    logits = np.array([[1.5], [-2.25]], dtype=np.float32)
    assert decode(head, logits, [[1], [], [1]]) == [{"value": 1.5}, None, {"value": -2.25}]


def test_the_logits_of_windows_are_averaged_by_the_tokens_that_they_own(decode: Decoder) -> None:
    logits = np.array([[4, 0, 0], [0, 4, 0], [1, 2, 3]], dtype=np.float32)
    long, short = decode(classifier(None), logits, [[1, 3], [5]])
    assert long["logits"] == [1, 3, 0]
    assert long["label"] == "politics"
    assert long["score"] == pytest.approx(softmax(np.array([[1, 3, 0]], dtype=np.float32))[0, 1])
    assert short["logits"] == [1, 2, 3]


VECTORS = np.array([[3, 4, 0, 0], [0, 0, 0, 2], [1, -1, 1, -1]], dtype=np.float32)


def test_vectors_are_brought_to_length_1(decode: Decoder) -> None:
    found = decode(vector_head(), VECTORS, [[1], [], [1], [1]])
    assert found[1] is None
    np.testing.assert_allclose(found[0], [0.6, 0.8, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(found[2], [0, 0, 0, 1], rtol=1e-6)
    np.testing.assert_allclose(found[3], [0.5, -0.5, 0.5, -0.5], rtol=1e-6)
    assert decode(vector_head(normalize=False), VECTORS, [[1], [1], [1]]) == VECTORS.tolist()


@pytest.mark.parametrize(
    ("pooling", "expected"), [("mean", [0.75, 1, 0, 1.5]), ("cls", [0.75, 1, 0, 1.5]), ("max", [3, 4, 0, 2])]
)
def test_windows_become_one_vector_as_they_were_pooled(
    decode: Decoder, pooling: str, expected: list[float]
) -> None:
    head = vector_head(pooling=pooling, normalize=False)
    assert decode(head, VECTORS, [[1, 3], [2]]) == [expected, VECTORS[2].tolist()]
    [normalized, _] = decode(vector_head(pooling=pooling), VECTORS, [[1, 3], [2]])
    np.testing.assert_allclose(normalized, np.array(expected) / np.linalg.norm(expected), rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"pooling": "max", "normalize": False}, {"dtype": "int8"}], ids=str)
def test_each_layer_is_decoded_as_it_would_be_alone(decode: Decoder, options: dict[str, Any]) -> None:
    head, rows = vector_head(layers=[0, 2], **options), [[1, 3], [], [2]]
    alone = [decode(vector_head(**options), values, rows) for values in (VECTORS, -2 * VECTORS)]
    found = decode(head, VECTORS, rows, None, -2 * VECTORS)
    assert found[1] is None
    for row in (0, 2):
        assert found[row] == {"layer_0": alone[0][row], "layer_2": alone[1][row]}


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 40, width=32)), max_size=40))
def test_losses_are_sums_over_the_tokens_of_a_row(decode: Decoder, tokens: list[tuple[int, float]]) -> None:
    tokens.sort(key=lambda token: token[0])
    nll = np.array([value for _, value in tokens], dtype=np.float32)
    found = decode(make_head("loss", "masked-lm-loss"), nll, [[9]] * 7, [row for row, _ in tokens])
    for row, value in enumerate(found):
        of_row = [float(value) for r, value in tokens if r == row]
        if not of_row:
            assert value is None
            continue
        assert value["num_tokens"] == len(of_row)
        assert value["nll"] == pytest.approx(sum(of_row))
        assert value["loss"] == pytest.approx(sum(of_row) / len(of_row))


def test_losses_are_summed_in_double_precision(decode: Decoder) -> None:
    nll = np.concatenate([np.full(1, 2.0**24), np.ones(100)]).astype(np.float32)
    [value] = decode(make_head("loss", "masked-lm-loss"), nll, [[200]], [0] * 101)
    assert value == {"loss": (2**24 + 100) / 101, "nll": 2.0**24 + 100, "num_tokens": 101}


HEADS = [
    classifier("single_label_classification"),
    classifier("multi_label_classification"),
    make_head("quality", "text-classification", config=tiny_config(num_labels=1)),
    vector_head(),
]


def width_of(head: Head) -> int:
    return 4 if head.name == "vector" else head.config.num_labels


@given(st.sampled_from(HEADS), st.lists(st.booleans(), min_size=1, max_size=12))
def test_values_go_to_their_rows_and_null_to_all_others(
    decode: Decoder, head: Head, is_present: list[bool]
) -> None:
    num_values = sum(is_present)
    values = np.random.default_rng(0).standard_normal((num_values, width_of(head))).astype(np.float32)
    found = decode(head, values, [[1] * present for present in is_present])
    alone = iter(decode(head, values[i : i + 1], [[1]])[0] for i in range(num_values))
    assert found == [next(alone) if present else None for present in is_present]


@pytest.mark.parametrize("head", [*HEADS, make_head("loss", "masked-lm-loss")], ids=lambda head: head.name)
def test_a_head_that_no_row_has_asked_for_is_null_throughout(decode: Decoder, head: Head) -> None:
    """Windows are there for the sake of other heads."""
    nothing = np.zeros((0, width_of(head)), dtype=np.float32)
    assert decode(head, nothing, [[1], [2, 3], []]) == [None] * 3
    assert decode(head, nothing, [[], []]) == [None] * 2
