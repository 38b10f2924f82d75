"""Every class with every option over random configurations: one rank = two = four."""

from typing import Any

import pytest
import torch

import model
from model import ShardGroup
from model.checkpoints.parameters import parameters_of, place_parameter
from tests.distributed.processes import run_on_ranks
from tests.distributed.slices import assert_same_parameters, assert_same_sliced_gradients, own_slice
from tests.oracle import assert_close, padded_batch
from tests.packing import pack
from tests.random_cases import CLASSES, Case, CaseGenerator

NUM_CASES = 10


def sharded_copy(whole: Any, case: Case, group: ShardGroup) -> Any:
    """This rank's part of a model."""
    options = case.options if case.class_name == "XLMRobertaXLModel" else {}
    with torch.device("meta"):
        sharded = getattr(model, case.class_name)(case.config.copy(), group=group, **options)
    for mine, full in zip(parameters_of(sharded), parameters_of(whole), strict=True):
        place_parameter(mine, own_slice(full.parameter.detach(), mine.shard).clone())
    assert_same_parameters(sharded, whole)
    return sharded.eval()


def flat(output: Any) -> list[torch.Tensor]:
    """All tensors of an output but the caches, of which each rank has its own heads."""
    if isinstance(output, torch.Tensor):
        return [output]
    if output is None:
        return []
    if hasattr(output, "items"):
        return [t for key, value in output.items() if key != "past_key_values" for t in flat(value)]
    return [tensor for value in output for tensor in flat(value)]


def _check_case(group: ShardGroup, case: Case) -> None:
    whole = case.model()
    sharded = sharded_copy(whole, case, group)
    arguments = case.arguments | {"return_dict": True}
    expected, found = flat(whole(**arguments)), flat(sharded(**arguments))
    assert_close(found, expected, name=f"{case.class_name} {case.number}")
    totals = [torch.stack([t.float().square().mean() for t in tensors]).sum() for tensors in (expected, found)]
    if not totals[0].isnan():
        for total in totals:
            total.backward()
        assert_same_sliced_gradients(sharded, whole, tolerance=3e-4)
    if case.config.position_embedding_type == "absolute":
        batch = pack(*padded_batch(case.config, [5, 1, 8]), pad_token_id=case.config.pad_token_id)
        with torch.inference_mode():
            assert_close(sharded.base_model.forward_packed(batch), whole.base_model.forward_packed(batch))


def _check_class(group: ShardGroup, class_name: str) -> None:
    for number in range(NUM_CASES):
        # Other numbers than those of the parity tests, with a head for every rank.
        _check_case(group, CaseGenerator(class_name, 1000 + number, min_heads=group.size).case())


@pytest.mark.parametrize("num_ranks", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("class_name", CLASSES)
def test_class(class_name: str, num_ranks: int) -> None:
    run_on_ranks(num_ranks, _check_class, class_name)
