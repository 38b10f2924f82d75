"""Collect the results of batches, and sort them by window and token."""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from model import XLMRobertaXLConfig, XLMRobertaXLTokenizer
from pipeline.arrays.windows import WindowArrays
from pipeline.batching.sequences import SequenceSet
from pipeline.tasks.contract import HeadOutput, OrderedHeadOutput
from pipeline.tasks.requests import Places


@dataclass
class HeadOutputCollector:
    """The results of one head so far, batch by batch."""

    values: list[HeadOutput] = field(default_factory=list)
    places: list[Places] = field(default_factory=list)

    def add(self, values: HeadOutput, places: Places) -> None:
        """Add the results of a batch."""
        self.values.append(values)
        self.places.append(places)

    def in_order(
        self,
        sequences: SequenceSet,
        windows: WindowArrays,
        context: pa.Array,
        config: XLMRobertaXLConfig,
        tokenizer: XLMRobertaXLTokenizer,
        *,
        without_rows: Collection[int] = (),
    ) -> OrderedHeadOutput:
        """All results in an order that does not depend on the batches.

        `without_rows`: rows to leave out, as some of their results are missing.
        """
        if not self.values:
            nothing = np.zeros(0, dtype=np.int64)
            return OrderedHeadOutput((), nothing, nothing, windows, context, config, tokenizer)
        sequence = np.concatenate([places.sequence for places in self.places])
        position = np.concatenate([places.position for places in self.places])
        order = np.lexsort((position, sequence))
        if without_rows:
            order = order[~np.isin(windows.row[sequences.window[sequence[order]]], list(without_rows))]
        values = tuple(np.concatenate(arrays)[order] for arrays in zip(*self.values, strict=True))
        window = sequences.window[sequence[order]]
        return OrderedHeadOutput(values, window, position[order], windows, context, config, tokenizer)
