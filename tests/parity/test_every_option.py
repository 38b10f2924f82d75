"""Every class with every option over random configurations, against the oracle: outputs, losses, gradients.

Where it applies, each case also shows that packed sequences and cached decoding give the same numbers.
"""

import os
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.oracle import (
    TOLERANCE,
    assert_close,
    assert_same_gradients,
    assert_same_output,
    oracle_of,
    padded_batch,
)
from tests.packing import pack
from tests.random_cases import CLASSES, Case, CaseGenerator

# The oracle's generation settings complain about options of the forward pass.
pytestmark = pytest.mark.filterwarnings("ignore:`return_dict_in_generate`")
NUM_CASES_A_CLASS = int(os.environ.get("XLMR_PARITY_CASES", "50"))


def scalar_of(output: Any) -> Tensor:
    """A number that depends on everything differentiable in an output."""
    if isinstance(output, Tensor):
        weights = torch.linspace(-1, 1, output.numel()).view(output.shape)
        return (output * weights).sum() / output.numel() ** 0.5
    values = output.to_tuple() if hasattr(output, "to_tuple") else output
    return torch.stack([scalar_of(value) for value in values if value is not None]).sum()


def check_gradients(case: Case, ours: Any, theirs: Any, model: Any, oracle: Any) -> None:
    labelled = "labels" in case.arguments or "start_positions" in case.arguments
    for output in (ours, theirs):
        total = scalar_of(output)
        # Everything is ignored: the loss is NaN on both sides, and says nothing about gradients.
        if total.isnan():
            assert labelled
            return
        total.backward()
    assert_same_gradients(model, oracle, tolerance=3 * TOLERANCE)


def check_packed(case: Case, model: Any, oracle: Any) -> None:
    """The packed forward of the trunk equals the oracle's padded one."""
    config = case.config
    if config.position_embedding_type != "absolute":
        return
    input_ids, mask = padded_batch(config, [7, 1, case.number % 11 + 1, 7], seed=case.number)
    batch = pack(input_ids, mask, pad_token_id=config.pad_token_id)
    with torch.inference_mode():
        expected = oracle.base_model(input_ids, mask, output_attentions=False, return_dict=True)[0]
        assert_close(model.base_model.forward_packed(batch), expected[mask.bool()], name="packed")


def check_cached(case: Case, model: Any, theirs: Any) -> None:
    """Decoding in pieces of several tokens equals the oracle's full forward (it is wrong itself in pieces)."""
    arguments = dict(case.arguments)
    source = arguments.get("input_ids", arguments.get("inputs_embeds"))
    length = source.shape[1]
    if not case.config.is_decoder or length < 3:
        return
    mask = arguments.pop("attention_mask", torch.ones(source.shape[:2], dtype=torch.long))
    if mask.dim() == 3 and mask.triu(1).any():
        return  # looks ahead: there is nothing to be had piece by piece
    for name in ("labels", "output_attentions", "output_hidden_states", "return_dict"):
        arguments.pop(name, None)
    if "position_ids" not in arguments and "input_ids" in arguments:
        # The default counts the tokens of a call; padded rows need their own.
        is_token = arguments["input_ids"].ne(case.config.pad_token_id).long()
        arguments["position_ids"] = is_token.cumsum(1) * is_token + case.config.pad_token_id
    cut = [0, length // 3, length // 3 + 1, length]
    by_token = {"input_ids", "inputs_embeds", "token_type_ids", "position_ids"}
    by_query = {"encoder_attention_mask"} if arguments.get("encoder_attention_mask", mask).dim() == 3 else set()
    cache, pieces = None, []
    with torch.inference_mode():
        for start, stop in pairwise(cut):
            if start == stop:
                continue
            part = {k: v[:, start:stop] if k in by_token | by_query else v for k, v in arguments.items()}
            part_mask = mask[:, :stop] if mask.dim() == 2 else mask[:, start:stop, :stop]
            out = model(**part, attention_mask=part_mask, past_key_values=cache, use_cache=True, return_dict=True)
            cache = out.past_key_values
            pieces.append(out[0])
    found, expected = torch.cat(pieces, dim=1), theirs["logits" if "logits" in theirs else "last_hidden_state"]
    seen = mask.bool() if mask.dim() == 2 else torch.ones(mask.shape[:2], dtype=torch.bool)
    assert_close(found[seen], expected[seen], name="cached")


@pytest.mark.parametrize("number", range(NUM_CASES_A_CLASS))
@pytest.mark.parametrize("class_name", CLASSES)
def test_case(class_name: str, number: int) -> None:
    case = CaseGenerator(class_name, number).case()
    model = case.model()
    oracle = oracle_of(model)
    ours, theirs = model(**case.arguments), oracle(**case.arguments)
    assert_same_output(ours, theirs)
    if number % 2:
        check_gradients(case, ours, theirs, model, oracle)
    if class_name in ("XLMRobertaXLModel", "XLMRobertaXLForCausalLM"):
        theirs = oracle(**case.arguments | {"return_dict": True})
        check_cached(case, model, theirs)
    check_packed(case, model, oracle)
