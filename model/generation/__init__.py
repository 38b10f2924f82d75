"""Text generation: options, incremental decoder, sampling and beam search."""
