"""Read layers while a packed batch passes the trunk: rows of one layer, or of a mix, added up in fp32.

Means and `<s>` are linear in the states. So a mix adds up the pooled rows of each layer, and no layer is kept.

Shape suffixes: T packed tokens, S sequences, N rows that are read, D hidden.
"""

from collections.abc import Callable, Sequence
from functools import cached_property, partial

import torch
from torch import Tensor

from model.kernels.precision import wide_dtype, widened
from model.layers.heads import pool_max, pool_mean
from model.layers.layer_reads import LayerRead
from model.packing import PackedBatch

MOMENTS_EPS = 1e-12
"""Added to the variance of a sequence, as by COMET."""

ReadStates = Callable[[Tensor], None]
"""Takes the states of one layer, `[T, D]`, which are valid during the call only."""


class LayerReader:
    """The rows of one `LayerRead` for a batch.

    Args:
        index: int64 `[N]`, ascending, on the device of the trunk: the tokens, or, where they are pooled, the
            sequences.
        coefficients: of the mix, one for each layer; layers of 0 are not read.
        dtype: of the trunk.

    Attributes:
        coefficients: by layer that is read.
        rows: `[N, D]`, fp32 (float64 for a float64 trunk), valid once the batch has passed.
    """

    def __init__(
        self,
        read: LayerRead,
        index: Tensor,
        coefficients: Sequence[float] = (1.0,),
        *,
        hidden_size: int,
        dtype: torch.dtype,
    ) -> None:
        by_layer = dict(zip(read.layers, coefficients, strict=True))
        self.read = read
        self.index = index
        self.coefficients = {layer: c for layer, c in by_layer.items() if c} or {read.layers[0]: 0.0}
        self.rows = torch.empty(len(index), hidden_size, dtype=wide_dtype(dtype), device=index.device)

    @property
    def num_layers(self) -> int:
        """How many layers of the trunk it takes."""
        return max(self.coefficients)

    def span(self, first: int, num: int) -> tuple[int, int]:
        """The first row whose token, or sequence, is among the `num` from `first` on, and how many rows are."""
        if self.index.is_cuda:
            # There a batch passes as a whole, and searching would synchronize the device.
            return 0, len(self.index)
        begin, end = torch.searchsorted(self.index, torch.tensor([first, first + num])).tolist()
        return begin, end - begin

    def take(self, layer: int, states: "LayerStates", span: tuple[int, int], first: int) -> None:
        """Add a layer's states of a slice of the batch, which begins with token, or sequence, `first`."""
        rows_ND, index_N = self.rows.narrow(0, *span), self.index.narrow(0, *span) - first
        found_ND = states.rows(self.read, index_N)
        if layer == min(self.coefficients):
            torch.mul(found_ND, self.coefficients[layer], out=rows_ND)
        else:
            rows_ND.add_(found_ND, alpha=self.coefficients[layer])


class SliceReaders:
    """The readers of a slice of a batch.

    Args:
        batch: the slice, which may be the whole batch.
        first_token, first_sequence: where it begins in the batch.
    """

    def __init__(
        self, readers: Sequence[LayerReader], batch: PackedBatch, first_token: int = 0, first_sequence: int = 0
    ) -> None:
        self.batch = batch
        self._readers = []
        for reader in readers:
            is_token = reader.read.pooling == "token"
            first = first_token if is_token else first_sequence
            num = len(batch.input_ids) if is_token else batch.num_sequences
            self._readers.append((reader, reader.span(first, num), first))

    def of_layer(self, layer: int) -> ReadStates | None:
        """Hands a layer's states to those who read it; None if nobody does."""
        is_read = any(layer in reader.coefficients for reader, _, _ in self._readers)
        return partial(self._take, layer) if is_read else None

    def _take(self, layer: int, hidden_TD: Tensor) -> None:
        # A slice on a CPU may be followed by padding.
        states = LayerStates(hidden_TD.narrow(0, 0, len(self.batch.input_ids)), self.batch)
        for reader, span, first in self._readers:
            if layer in reader.coefficients:
                reader.take(layer, states, span, first)


class LayerStates:
    """The states of one layer `[T, D]`; what several readers need of them is computed once."""

    def __init__(self, hidden_TD: Tensor, batch: PackedBatch) -> None:
        self.hidden_TD = hidden_TD
        self.batch = batch

    def rows(self, read: LayerRead, index_N: Tensor) -> Tensor:
        """What is read at these tokens or sequences, fp32 `[N, D]`."""
        rows_ND = self._pooled(read, index_N)
        if not read.is_normalized:
            return rows_ND
        sequence_N = index_N
        if read.pooling == "token":
            sequence_N = torch.searchsorted(self.batch.cu_seqlens, index_N.int(), right=True) - 1
        mean_N1, scale_N1 = (moment_S1.index_select(0, sequence_N) for moment_S1 in self.moments)
        return (rows_ND - mean_N1).mul_(scale_N1)

    def _pooled(self, read: LayerRead, index_N: Tensor) -> Tensor:
        match read.pooling:
            case "token":
                return widened(self.hidden_TD.index_select(0, index_N))
            case "cls":
                first_N = self.batch.cu_seqlens.index_select(0, index_N)
                return widened(self.hidden_TD.index_select(0, first_N))
            case "mean":
                return self.means.index_select(0, index_N)
            case "max":
                return self.maxima.index_select(0, index_N)

    @cached_property
    def means(self) -> Tensor:
        """The mean of each sequence, `[S, D]`."""
        return pool_mean(self.hidden_TD, self.batch, self._sequences)

    @cached_property
    def maxima(self) -> Tensor:
        """The maximum of each sequence, `[S, D]`."""
        return pool_max(self.hidden_TD, self.batch, self._sequences)

    @cached_property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Of each sequence over all tokens and dimensions: the mean, and 1 / sqrt(variance + eps), fp32 `[S, 1]`.

        Sums over the dimensions of a token are in fp32, those over tokens in float64.
        """
        wide_TD = widened(self.hidden_TD)
        sums_T = wide_TD.sum(dim=1).double()
        squares_T = torch.linalg.vector_norm(wide_TD, dim=1).double().square_()
        # Checking the offsets would synchronize a GPU; those of a batch are right.
        mean_S2 = torch.segment_reduce(
            torch.stack([sums_T, squares_T], dim=1).div_(wide_TD.shape[1]),
            "mean",
            offsets=self.batch.cu_seqlens,
            axis=0,
            unsafe=True,
        )
        mean_S1, square_S1 = mean_S2.split(1, dim=1)
        scale_S1 = (square_S1 - mean_S1.square()).clamp_(min=0).add_(MOMENTS_EPS).rsqrt_()
        return mean_S1.to(wide_TD.dtype), scale_S1.to(wide_TD.dtype)

    @property
    def _sequences(self) -> Tensor:
        return torch.arange(self.batch.num_sequences, device=self.hidden_TD.device)
