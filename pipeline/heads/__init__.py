"""Heads: tasks joined with checkpoints, and what can be refused before Ray starts."""
