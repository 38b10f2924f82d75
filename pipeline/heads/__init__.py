"""Heads: tasks joined with checkpoints, and all checks of them before Ray starts."""
