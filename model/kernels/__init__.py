"""Optimized kernels; each is tested against a plain reference."""
