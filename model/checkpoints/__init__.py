"""Checkpoints: download from the hub, read (each rank its own slice), write."""
