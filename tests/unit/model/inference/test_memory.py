"""The peak that is measured; the bounds are tested with what a rank really takes, in the tests of the pipeline."""

import mmap

from model.inference.memory import peak_memory, reset_peak_memory

MIB = 2**20


def test_peak_memory_sees_what_was_held_and_let_go() -> None:
    reset_peak_memory("cpu")
    before = peak_memory("cpu")
    assert before > 50 * MIB
    # Pages of their own: a large tensor may get pages of the heap that are resident already.
    with mmap.mmap(-1, 256 * MIB) as pages:
        for begin in range(0, len(pages), mmap.PAGESIZE):
            pages[begin] = 1
    assert peak_memory("cpu") >= before + 250 * MIB
    reset_peak_memory("cpu")
    assert peak_memory("cpu") < before + 128 * MIB
