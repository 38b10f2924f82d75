"""Heads that predict tokens: guesses, losses and texts, from the oracle's logits."""

from typing import Any

import numpy as np
import pytest
import torch

from model.tokenizer.special_tokens import IGNORE_INDEX
from pipeline.batching.masking import Vocabulary, sample_masks
from pipeline.batching.row_random import row_hashes
from tests.parity.tasks.conftest import Outputs
from tests.parity.tasks.job import NUM_GUESSES, NUM_NEW_TOKENS
from tests.parity.tasks.reference import Reference, assert_near, is_tie

Rows = list[dict[str, Any]]
INPUT_FILE = "input.parquet"


def test_guesses(rows: Rows, outputs: Outputs, reference: Reference) -> None:
    """One list a mask; the tokenizer's tokens alone are chosen, spare rows are part of the softmax."""
    mask_id, num_usable = reference.slow.mask_token_id, len(reference.slow)
    num_clear = 0
    for i, row in enumerate(rows):
        ids = reference.ids(row["masked"])
        places = [place for place, token in enumerate(ids) if token == mask_id]
        scores = reference.vocabulary_logits("encoder", ids, places).double().softmax(-1)[:, :num_usable]
        best, guesses = scores.topk(NUM_GUESSES)
        for size, output in outputs.items():
            found = output[i]["fill"]
            assert len(found) == row["masked"].count("<mask>")
            for place, guess in enumerate(found):
                where = f"row {i}, mask {place}, {size} ranks"
                assert_near([g["score"] for g in guess], best[place], where, absolute=1e-9)
                assert [g["token"] for g in guess] == [reference.slow.decode([g["token_id"]]) for g in guess]
                if not is_tie(scores[place].log(), NUM_GUESSES):
                    num_clear += 1
                    assert [g["token_id"] for g in guess] == guesses[place].tolist(), where
    assert num_clear >= 2 * 200


@pytest.mark.parametrize(
    ("head", "column", "probability", "seed"), [("sampled", "text", 0.15, 0), ("seeded", "short", 0.4, 3)]
)
def test_loss_of_sampled_masks(
    rows: Rows, outputs: Outputs, reference: Reference, head: str, column: str, probability: float, seed: int
) -> None:
    """The draw is the pipeline's, made for each row alone; ids, loss and count are the oracle's."""
    hashes = row_hashes(INPUT_FILE, 0, len(rows))
    num_masked = 0
    for i, row in enumerate(rows):
        ids = np.array(reference.ids(row[column]), dtype=np.int32)
        place = np.arange(len(ids))
        masked, labels = sample_masks(
            ids,
            np.zeros(len(ids), dtype=np.int64),
            place - 1,
            (place > 0) & (place < len(ids) - 1),
            hashes[i : i + 1],
            probability=probability,
            seed=seed,
            vocabulary=Vocabulary(reference.slow.mask_token_id),
        )
        places = np.flatnonzero(labels != IGNORE_INDEX)
        num_masked += int((masked == reference.slow.mask_token_id).sum())
        logits = reference.vocabulary_logits("encoder", masked.tolist(), places.tolist())
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(ids[places]).long())
        assert len(places) == max(1, round(probability * (len(ids) - 2)))
        _assert_losses(outputs, head, i, float(loss), len(places))
    assert num_masked > 200


def test_loss_of_every_token_in_turn(rows: Rows, outputs: Outputs, reference: Reference) -> None:
    """Pseudo-log-likelihood: n sequences with one mask each."""
    for i, row in enumerate(rows):
        ids = torch.tensor(reference.ids(row["short"]))
        place = torch.arange(1, len(ids) - 1)
        masked = ids.repeat(len(place), 1)
        masked[torch.arange(len(place)), place] = reference.slow.mask_token_id
        oracle = reference.checkpoints.oracle("encoder")
        with torch.inference_mode():
            states = oracle.roberta(masked)[0][torch.arange(len(place)), place]
            loss = torch.nn.functional.cross_entropy(oracle.lm_head(states), ids[place])
        _assert_losses(outputs, "every", i, float(loss), len(place))


def test_loss_of_a_causal_model(rows: Rows, outputs: Outputs, reference: Reference) -> None:
    """Each token after those before it, and the end of the text."""
    for i, row in enumerate(rows):
        ids = torch.tensor([reference.ids(row["short"])])
        with torch.inference_mode():
            loss = reference.checkpoints.oracle("decoder")(ids, labels=ids).loss
        _assert_losses(outputs, "causal", i, float(loss), ids.shape[1] - 1)


def _assert_losses(outputs: Outputs, head: str, row: int, loss: float, num_tokens: int) -> None:
    for size, output in outputs.items():
        found, where = output[row][head], f"row {row}, {size} ranks"
        assert found["num_tokens"] == num_tokens, where
        assert_near(found["loss"], loss, where)
        assert_near(found["nll"], loss * num_tokens, where)


def test_generated_text(rows: Rows, outputs: Outputs, reference: Reference) -> None:
    """The likeliest token again and again, behind `<s>` and the prompt, without `</s>`."""
    num_clear = 0
    for i, row in enumerate(rows):
        generated = _greedy(reference, reference.ids(row["short"])[:-1])
        if generated is None:
            continue
        num_clear += 1
        for size, output in outputs.items():
            found, where = output[i]["continued"], f"row {i}, {size} ranks"
            assert found["num_tokens"] == len(generated), where
            assert found["text"] == reference.slow.decode(generated, skip_special_tokens=True), where
    assert num_clear >= 200
    assert len({row["continued"]["text"] for row in outputs[1]}) > 50


def _greedy(reference: Reference, ids: list[int]) -> list[int] | None:
    """None where two tokens are equally likely."""
    num_prompt = len(ids)
    for _ in range(NUM_NEW_TOKENS):
        logits = reference.vocabulary_logits("decoder", ids, [len(ids) - 1])[0, : len(reference.slow)]
        if is_tie(logits):
            return None
        token = int(logits.argmax())
        if token == reference.slow.eos_token_id:
            break
        ids = [*ids, token]
    return ids[num_prompt:]
