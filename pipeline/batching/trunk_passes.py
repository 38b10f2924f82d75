"""Group heads that can share one pass of a sequence through a trunk."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.heads.resolve import Head, sequence_specs
from pipeline.tasks.contract import Masking


@dataclass(frozen=True)
class TrunkPass:
    """Sequences of one kind, each of which goes through the trunk once for several heads.

    Attributes:
        trunk: directory of the trunk.
        spec: index among `sequence_specs(heads)`.
        heads: indices of the heads that read these sequences.
        masking: for a masked language modeling loss.
        generates: whether the sequences are prompts to continue.
        seed: for sampling from prompts.
    """

    trunk: str
    spec: int
    heads: tuple[int, ...]
    masking: Masking | None = None
    generates: bool = False
    seed: int = 0


def trunk_passes(heads: Sequence[Head]) -> list[TrunkPass]:
    """Heads with equal trunk, spec, masking and seed share a pass."""
    specs = sequence_specs(heads)
    members: dict[TrunkPass, list[int]] = {}
    for i, head in enumerate(heads):
        alike = TrunkPass(
            trunk=head.trunk,
            spec=specs.index(head.sequence_spec),
            heads=(),
            masking=head.task.masking(head.options),
            generates=head.task.generates,
            seed=head.task.seed(head.options),
        )
        members.setdefault(alike, []).append(i)
    return [replace(alike, heads=tuple(indices)) for alike, indices in members.items()]
