"""Comparing a rank's slices with the whole model."""

from torch import Tensor, nn

from model.checkpoints.parameters import parameters_of
from model.parallel.shard import Shard
from tests.oracle import assert_close


def own_slice(full: Tensor, shard: Shard | None) -> Tensor:
    """What a rank holds of a full tensor."""
    return full if shard is None else full.narrow(shard.dim, shard.start, shard.stop - shard.start)


def assert_same_parameters(sharded: nn.Module, whole: nn.Module) -> None:
    """Every parameter of a rank is, bit for bit, its slice of the whole model's."""
    for mine, full in zip(parameters_of(sharded), parameters_of(whole), strict=True):
        assert mine.names == full.names
        assert mine.full_shape == full.parameter.shape, mine.names
        expected = own_slice(full.parameter, mine.shard)
        assert_close(mine.parameter, expected, tolerance=0.0, name=mine.names[0])


def assert_same_sliced_gradients(sharded: nn.Module, whole: nn.Module, *, tolerance: float = 1e-4) -> None:
    """Every gradient of a rank is its slice of the whole model's; replicated ones are equal."""
    num_compared = 0
    for mine, full in zip(parameters_of(sharded), parameters_of(whole), strict=True):
        name = mine.names[0]
        assert (mine.parameter.grad is None) == (full.parameter.grad is None), name
        if mine.parameter.grad is not None and full.parameter.grad is not None:
            expected = own_slice(full.parameter.grad, mine.shard)
            assert_close(mine.parameter.grad, expected, tolerance=tolerance, name=f"gradient of {name}")
            num_compared += 1
    assert num_compared
