"""Metrics by the official rules, their intervals and tests: pure functions of lists and NumPy arrays."""
