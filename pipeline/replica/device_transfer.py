"""Copies between the host and a rank's device: on a GPU from and into pinned memory, on streams of their own.

So a batch's ids reach the GPU, and results leave it, while another batch is computed. Either way has its stream:
results wait for their batch, and the ids of the next one must not wait with them. Pinned blocks are those of
torch's cache, which gives none of them out again before its copies are over.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.kernels.hardware import FAST_PATH_CALLS


@dataclass(frozen=True)
class PendingOutput:
    """A batch that a device computes, or has computed.

    Attributes:
        tensors: by head, where on the host its results are or will be.
        arrival: they are there when this has passed; None if they are.
    """

    tensors: Mapping[str, tuple[Tensor, ...]]
    arrival: torch.cuda.Event | None

    def results(self) -> dict[str, tuple[NDArray[np.generic], ...]]:
        """By head, arrays of these shapes and dtypes; waits for them."""
        if self.arrival is not None:
            self.arrival.synchronize()
        return {name: tuple(tensor.numpy() for tensor in tensors) for name, tensors in self.tensors.items()}


class DeviceTransfer:
    """The copies of one rank.

    Args:
        device: "cpu", where nothing is copied, or "cuda".
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._inward = torch.cuda.Stream() if device == "cuda" else None
        self._outward = torch.cuda.Stream() if device == "cuda" else None

    def to_device(self, tensor: Tensor) -> Tensor:
        """The same tensor on the device; kernels that are queued from now on find it there."""
        if self._inward is None:
            return tensor
        FAST_PATH_CALLS["copy beside kernels"] += 1
        with torch.cuda.stream(self._inward):
            there = tensor.pin_memory().to(self._device, non_blocking=True)
        computing = torch.cuda.current_stream()
        computing.wait_stream(self._inward)
        # Or else its memory would be given out again as soon as nobody names it, before the kernels have run.
        there.record_stream(computing)
        return there

    def to_host(self, results: Mapping[str, tuple[Tensor, ...]]) -> PendingOutput:
        """Results, by head, of kernels that are queued; waits for none of them."""
        if self._outward is None:
            return PendingOutput(results, None)
        self._outward.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._outward):
            there = {name: tuple(self._pinned(tensor) for tensor in tensors) for name, tensors in results.items()}
            # Whoever waits sleeps, and does not ask again and again.
            arrival = torch.cuda.Event(blocking=True)
            arrival.record()
        return PendingOutput(there, arrival)

    def _pinned(self, tensor: Tensor) -> Tensor:
        assert self._outward is not None
        FAST_PATH_CALLS["copy beside kernels"] += 1
        there = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)
        tensor.record_stream(self._outward)
        return there
