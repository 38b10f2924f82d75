"""Encode the rows of a fragment as windows of token ids."""
