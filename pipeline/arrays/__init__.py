"""Nested columns, ragged arrays and windows in Arrow and NumPy; nothing of the domain."""
