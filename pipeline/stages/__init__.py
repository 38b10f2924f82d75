"""The four steps of the dataset: read, encode, annotate, write."""
