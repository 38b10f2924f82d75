"""Which heads are served by one and the same pass of a sequence through the trunk. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.heads.resolve import Head, sources_of
from pipeline.tasks.contract import Masking


@dataclass(frozen=True)
class Stream:
    """Sequences that are made in one way: each passes the trunk once for all heads of its stream.

    Attributes:
        trunk: directory of the trunk.
        source: index of the source among `sources_of(heads)`.
        heads: indices of the heads that read these sequences.
        masking: of a masked language model loss.
        generates: sequences are prompts that a head goes on from, token by token.
        seed: of the tokens that are drawn there.
    """

    trunk: str
    source: int
    heads: tuple[int, ...]
    masking: Masking | None = None
    generates: bool = False
    seed: int = 0


def streams_of(heads: Sequence[Head]) -> list[Stream]:
    """Heads with equal trunk, source, masking and seed share a stream."""
    sources = sources_of(heads)
    members: dict[Stream, list[int]] = {}
    for i, head in enumerate(heads):
        alike = Stream(
            trunk=head.trunk,
            source=sources.index(head.source),
            heads=(),
            masking=head.task.masking(head.options),
            generates=head.task.generates,
            seed=head.task.seed(head.options),
        )
        members.setdefault(alike, []).append(i)
    return [replace(alike, heads=tuple(indices)) for alike, indices in members.items()]
