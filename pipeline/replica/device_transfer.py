"""Copy tensors between host and GPU while another batch is computed, through pinned memory.

Each direction has its own CUDA stream: results wait for their batch, for which the next batch's token ids must not
wait. Pinned memory comes from torch's cache, which reuses no block before its copies are done.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class PendingOutput:
    """The results of a batch on their way to the host.

    Attributes:
        tensors: by head, host tensors, to be read after the copies.
        arrival: the event after the last copy; None on a CPU.
    """

    tensors: Mapping[str, tuple[Tensor, ...]]
    arrival: torch.cuda.Event | None

    def results(self) -> dict[str, tuple[NDArray[np.generic], ...]]:
        """Wait for the results; arrays by head."""
        if self.arrival is not None:
            self.arrival.synchronize()
        return {name: tuple(tensor.numpy() for tensor in tensors) for name, tensors in self.tensors.items()}


class DeviceTransfer:
    """Copies tensors to and from the device of one rank; on "cpu", nothing is copied."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._inward = torch.cuda.Stream() if device == "cuda" else None
        self._outward = torch.cuda.Stream() if device == "cuda" else None

    def to_device(self, tensor: Tensor) -> Tensor:
        """Copy a tensor to the device asynchronously; kernels that are queued from now on wait for the copy."""
        if self._inward is None:
            return tensor
        with torch.cuda.stream(self._inward):
            there = tensor.pin_memory().to(self._device, non_blocking=True)
        computing = torch.cuda.current_stream()
        computing.wait_stream(self._inward)
        # Else its memory could be reused before the kernels have run, once nothing refers to it.
        there.record_stream(computing)
        return there

    def to_host(self, results: Mapping[str, tuple[Tensor, ...]]) -> PendingOutput:
        """Copy the results of queued kernels, by head, to the host asynchronously."""
        if self._outward is None:
            return PendingOutput(results, None)
        self._outward.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._outward):
            there = {name: tuple(self._pinned(tensor) for tensor in tensors) for name, tensors in results.items()}
            # Waiting blocks the thread instead of spinning.
            arrival = torch.cuda.Event(blocking=True)
            arrival.record()
        return PendingOutput(there, arrival)

    def _pinned(self, tensor: Tensor) -> Tensor:
        assert self._outward is not None
        there = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)
        tensor.record_stream(self._outward)
        return there
