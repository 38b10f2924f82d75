"""The four stages of the Ray dataset: read, encode, annotate, write."""
