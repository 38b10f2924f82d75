"""Which slice of a full tensor a rank holds."""

from dataclasses import dataclass

from torch import Tensor, nn

from model.parallel.group import ShardGroup


@dataclass(frozen=True)
class Shard:
    """Which part of a full tensor a parameter is: rows [start, stop) of `full_size` along `dim`.

    Rows are handed out in units of `unit_size` (the width of an attention head), which stay together.
    """

    dim: int
    start: int
    stop: int
    full_size: int
    unit_size: int = 1

    @classmethod
    def of(cls, group: ShardGroup, dim: int, full_size: int, unit_size: int = 1) -> "Shard":
        """The part of a rank."""
        start, stop = (unit_size * bound for bound in group.bounds(full_size // unit_size))
        return cls(dim, start, stop, full_size, unit_size)

    @property
    def size(self) -> int:
        """How many rows the rank holds."""
        return self.stop - self.start

    def cut(self, full: Tensor) -> Tensor:
        """The rank's part of the full tensor, a view."""
        return full.narrow(self.dim, self.start, self.size)

    def parameter_of(self, full: nn.Parameter, group: ShardGroup) -> nn.Parameter:
        """The rank's part of a full parameter, a copy; in a group of one the parameter itself."""
        if group.size == 1:
            return full
        return nn.Parameter(self.cut(full.detach()).clone(), requires_grad=full.requires_grad)

    def gather(self, part: Tensor, group: ShardGroup) -> Tensor:
        """The full tensor from the parts of all ranks, outside autograd."""
        return group.all_gather(part.detach(), self.dim, self.full_size, self.unit_size)
