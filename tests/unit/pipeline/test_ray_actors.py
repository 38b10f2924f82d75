import subprocess
import sys

import pytest

# pause() returns only when a signal comes.
HANGING_AT_EXIT = """
import ctypes
from pipeline.ray_actors import skip_exit_handlers
library = ctypes.CDLL(None)
library.__cxa_atexit(ctypes.cast(library.pause, ctypes.c_void_p), None, None)
print("said")
"""


def end(program: str, timeout_s: float) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=timeout_s).stdout


def test_a_process_that_leaves_libraries_loaded_does_not_hang_in_them() -> None:
    assert end(f"{HANGING_AT_EXIT}skip_exit_handlers()\n", timeout_s=60) == "said\n"


@pytest.mark.slow
def test_another_one_does() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        end(HANGING_AT_EXIT, timeout_s=20)
