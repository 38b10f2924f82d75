"""Heads fitted on features of the frozen trunk: search, calibration, report and the command."""
