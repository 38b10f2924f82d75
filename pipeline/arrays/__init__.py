"""Nested columns, ragged arrays and windows in Arrow and NumPy, independent of models and tasks."""
