"""Group windows into batches of a token budget, and put the results back into the order of rows."""
