"""`Shard`: the slice of a full tensor that one rank holds."""

from dataclasses import dataclass

from torch import Tensor, nn

from model.parallel.group import ShardGroup


@dataclass(frozen=True)
class Shard:
    """Rows [start, stop) of a full tensor of `full_size` rows along `dim`.

    Rows are assigned in units of `unit_size` (the size of an attention head), which are never separated.
    """

    dim: int
    start: int
    stop: int
    full_size: int
    unit_size: int = 1

    @classmethod
    def of(cls, group: ShardGroup, dim: int, full_size: int, unit_size: int = 1) -> "Shard":
        """The slice of this group's rank."""
        start, stop = (unit_size * bound for bound in group.bounds(full_size // unit_size))
        return cls(dim, start, stop, full_size, unit_size)

    @property
    def size(self) -> int:
        """Number of rows of the slice."""
        return self.stop - self.start

    def cut(self, full: Tensor) -> Tensor:
        """Slice a full tensor; returns a view."""
        return full.narrow(self.dim, self.start, self.size)

    def parameter_of(self, full: nn.Parameter, group: ShardGroup) -> nn.Parameter:
        """Slice a full parameter into a copy; a group of one keeps the parameter itself."""
        if group.size == 1:
            return full
        return nn.Parameter(self.cut(full.detach()).clone(), requires_grad=full.requires_grad)

    def gather(self, part: Tensor, group: ShardGroup) -> Tensor:
        """Gather the full tensor from the slices of all ranks, outside autograd."""
        return group.all_gather(part.detach(), self.dim, self.full_size, self.unit_size)
