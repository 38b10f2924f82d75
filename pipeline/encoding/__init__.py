"""Rows to windows of token ids."""
