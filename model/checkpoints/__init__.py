"""Checkpoints on disk and from the hub: read (each rank its own slice) and written."""
