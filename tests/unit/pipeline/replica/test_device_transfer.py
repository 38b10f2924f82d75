import numpy as np
import torch

from pipeline.replica.device_transfer import DeviceTransfer


def test_on_a_cpu_nothing_is_copied() -> None:
    copies, tensor = DeviceTransfer("cpu"), torch.arange(6.0).view(2, 3)
    assert copies.to_device(tensor) is tensor
    [found] = copies.to_host({"head": (tensor,)}).results()["head"]
    assert found.ctypes.data == tensor.data_ptr()
    np.testing.assert_array_equal(found, [[0, 1, 2], [3, 4, 5]])
