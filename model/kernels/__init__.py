"""Faster ways to compute known things; each has a plain oracle."""
