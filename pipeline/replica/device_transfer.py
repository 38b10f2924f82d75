"""Copies tensors between the host and a rank's GPU, through pinned memory and on CUDA streams of their own.

Token ids of a batch reach the GPU, and results leave it, while another batch is computed. Each direction has its
own stream: results wait for their batch, and the ids of the next batch must not wait with them. Pinned memory
comes from torch's cache, which reuses no block before its copies are done.
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
        tensors: by head, host tensors that hold the results once they have arrived.
        arrival: the event after the last copy; None if they are there already.
    """

    tensors: Mapping[str, tuple[Tensor, ...]]
    arrival: torch.cuda.Event | None

    def results(self) -> dict[str, tuple[NDArray[np.generic], ...]]:
        """By head, arrays of these shapes and dtypes; waits for them."""
        if self.arrival is not None:
            self.arrival.synchronize()
        return {name: tuple(tensor.numpy() for tensor in tensors) for name, tensors in self.tensors.items()}


class DeviceTransfer:
    """Copies tensors to and from the device of one rank.

    Args:
        device: "cpu", where nothing is copied, or "cuda".
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._inward = torch.cuda.Stream() if device == "cuda" else None
        self._outward = torch.cuda.Stream() if device == "cuda" else None

    def to_device(self, tensor: Tensor) -> Tensor:
        """Copy a tensor to the device, without waiting; kernels that are queued from now on run after the copy."""
        if self._inward is None:
            return tensor
        with torch.cuda.stream(self._inward):
            there = tensor.pin_memory().to(self._device, non_blocking=True)
        computing = torch.cuda.current_stream()
        computing.wait_stream(self._inward)
        # Else its memory could be reused as soon as nothing refers to it, before the kernels have run.
        there.record_stream(computing)
        return there

    def to_host(self, results: Mapping[str, tuple[Tensor, ...]]) -> PendingOutput:
        """Copy the results of queued kernels, by head, to the host, without waiting."""
        if self._outward is None:
            return PendingOutput(results, None)
        self._outward.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._outward):
            there = {name: tuple(self._pinned(tensor) for tensor in tensors) for name, tensors in results.items()}
            # Waiting blocks the thread, and does not spin.
            arrival = torch.cuda.Event(blocking=True)
            arrival.record()
        return PendingOutput(there, arrival)

    def _pinned(self, tensor: Tensor) -> Tensor:
        assert self._outward is not None
        there = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)
        tensor.record_stream(self._outward)
        return there
