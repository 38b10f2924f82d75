"""Windows to batches of a token budget, and results back in the order of rows."""
