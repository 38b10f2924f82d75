"""Vectors of texts and tokens, from the oracle's last hidden states."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.parity.tasks.conftest import Outputs
from tests.parity.tasks.reference import TOLERANCE, Reference, assert_near

Rows = list[dict[str, Any]]


def _normalized(vector: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vector.double(), dim=-1)


@pytest.mark.parametrize("head", ["mean", "cls", "maximum"])
def test_pooling(rows: Rows, outputs: Outputs, reference: Reference, head: str) -> None:
    pool = {"mean": lambda x: x.mean(0), "cls": lambda x: x[0], "maximum": lambda x: x.amax(0)}[head]
    for i, row in enumerate(rows):
        expected = _normalized(pool(reference.states("encoder", reference.ids(row["text"]))))
        for size, output in outputs.items():
            assert_near(output[i][head], expected, f"row {i}, {size} ranks")


def test_pooler(rows: Rows, outputs: Outputs, reference: Reference) -> None:
    for i, row in enumerate(rows):
        ids = torch.tensor([reference.ids(row["text"])])
        with torch.inference_mode():
            expected = reference.checkpoints.oracle("choice").roberta(ids).pooler_output[0]
        for size, output in outputs.items():
            assert_near(output[i]["pooler"], expected, f"row {i}, {size} ranks")


def test_small_vectors(rows: Rows, outputs: Outputs, reference: Reference) -> None:
    """Cut and brought to length 1 again as float16, rounded to 127ths as int8, and the signs as bits."""
    for i, row in enumerate(rows):
        states = reference.states("encoder", reference.ids(row["text"])).double()
        half, whole, first = _normalized(states.mean(0)[:16]), _normalized(states.mean(0)), states[0].numpy()
        for size, output in outputs.items():
            found, where = output[i], f"row {i}, {size} ranks"
            # half a unit in the last place of numbers below 1
            assert_near(found["half"], half, where, absolute=TOLERANCE + 2**-12)
            assert_near(found["int8"], whole * 127, where, absolute=0.5 + 127 * TOLERANCE)
            bits = np.unpackbits(np.array(found["bits"], dtype=np.uint8))
            is_clear = np.abs(first) > TOLERANCE
            assert (bits == (first > 0))[is_clear].all(), where


def test_one_vector_a_token(rows: Rows, outputs: Outputs, reference: Reference) -> None:
    """Of the text's own tokens, without `<s>` and `</s>`."""
    for i, row in enumerate(rows):
        expected = reference.states("encoder", reference.ids(row["text"]))[1:-1]
        for size, output in outputs.items():
            assert_near(output[i]["token_vectors"], expected, f"row {i}, {size} ranks")


def test_layers(rows: Rows, outputs: Outputs, reference: Reference) -> None:
    for i, row in enumerate(rows):
        layers = reference.layers("encoder", reference.ids(row["text"]))
        for size, output in outputs.items():
            found, where = output[i], f"row {i}, {size} ranks"
            assert_near(found["early"], _normalized(layers[1].mean(0)), where)
            assert list(found["layers"]) == [f"layer_{layer}" for layer in range(len(layers))]
            for layer, states in enumerate(layers):
                assert_near(found["layers"][f"layer_{layer}"], states[0], f"{where}, layer {layer}")
            last = len(layers) - 1
            assert list(found["token_layers"]) == ["layer_0", f"layer_{last}"]
            for layer in (0, last):
                assert_near(
                    found["token_layers"][f"layer_{layer}"], layers[layer][1:-1], f"{where}, layer {layer}"
                )
