"""Which heads are served by one and the same pass of a sequence through the trunk. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.heads.resolve import Head, sequence_specs
from pipeline.tasks.contract import Masking


@dataclass(frozen=True)
class TrunkPass:
    """Sequences that are made in one way: each passes the trunk once for all of these heads.

    Attributes:
        trunk: directory of the trunk.
        spec: index of its spec among `sequence_specs(heads)`.
        heads: indices of the heads that read these sequences.
        masking: of a masked language model loss.
        generates: sequences are prompts that a head goes on from, token by token.
        seed: of the tokens that are drawn there.
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
