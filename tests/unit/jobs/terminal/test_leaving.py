import subprocess
import sys


def test_a_process_ends_with_its_code_and_all_that_it_has_printed() -> None:
    program = """
import atexit, sys
from jobs.terminal.leaving import leave_quickly
atexit.register(print, "taken apart")
leave_quickly(3)
print("printed")
sys.exit(3)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "printed\n", "")
