"""The tensors that `save_pretrained` writes, and the functions that read them."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from model.checkpoints.parameters import parameters_of
from model.checkpoints.writer import TensorSpec
from model.parallel.group import ShardGroup


def own_tensors(model: nn.Module, group: ShardGroup) -> tuple[list[TensorSpec], Callable[[str], Tensor]]:
    """The full parameters of a model, tied ones once; each is gathered from the ranks when it is read."""
    entries = {name: entry for entry in parameters_of(model) for name in entry.stored_names}

    def read(name: str) -> Tensor:
        entry = entries[name]
        return entry.parameter if entry.shard is None else entry.shard.gather(entry.parameter, group)

    specs = [TensorSpec(name, tuple(e.full_shape), e.parameter.dtype) for name, e in entries.items()]
    return specs, read


def given_tensors(
    model: nn.Module, state_dict: Mapping[str, Tensor]
) -> tuple[list[TensorSpec], Callable[[str], Tensor]]:
    """The tensors of a state dict without repetitions of tied parameters."""
    first_names = {name: entry.names[0] for entry in parameters_of(model) for name in entry.names}
    written = {name for entry in parameters_of(model) for name in entry.stored_names}

    def is_repeated(name: str) -> bool:
        first = state_dict.get(first_names[name]) if name in first_names and name not in written else None
        return first is not None and first.data_ptr() == state_dict[name].data_ptr()

    specs = [TensorSpec(n, tuple(x.shape), x.dtype) for n, x in state_dict.items() if not is_repeated(n)]
    return specs, state_dict.__getitem__
