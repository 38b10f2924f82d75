"""Heads fitted on features of the frozen trunk: search, calibration and report, and the command `python -m jobs.fit`."""
