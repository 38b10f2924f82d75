"""Results of batches, as they come in -> all results of a head, in the order of windows and tokens."""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipeline.arrays.windows import WindowArrays
from pipeline.batching.sequences import SequenceSet
from pipeline.tasks.contract import HeadOutput, OrderedHeadOutput
from pipeline.tasks.requests import Places


@dataclass
class HeadOutputCollector:
    """What ranks have returned for one head so far, batch by batch."""

    values: list[HeadOutput] = field(default_factory=list)
    places: list[Places] = field(default_factory=list)

    def add(self, values: HeadOutput, places: Places) -> None:
        """The results of a batch, and the places that they belong to."""
        self.values.append(values)
        self.places.append(places)

    def in_order(
        self,
        sequences: SequenceSet,
        windows: WindowArrays,
        context: pa.Array,
        *,
        without_rows: Collection[int] = (),
    ) -> OrderedHeadOutput:
        """All of it sorted, so that nothing that is made of it depends on how sequences were batched.

        `without_rows`: rows that lack some of their results, and so get none.
        """
        if not self.values:
            nothing = np.zeros(0, dtype=np.int64)
            return OrderedHeadOutput((), nothing, nothing, windows, context)
        sequence = np.concatenate([places.sequence for places in self.places])
        position = np.concatenate([places.position for places in self.places])
        order = np.lexsort((position, sequence))
        if without_rows:
            order = order[~np.isin(windows.row[sequences.window[sequence[order]]], list(without_rows))]
        values = tuple(np.concatenate(arrays)[order] for arrays in zip(*self.values, strict=True))
        return OrderedHeadOutput(values, sequences.window[sequence[order]], position[order], windows, context)
