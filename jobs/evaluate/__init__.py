"""The command that evaluates checkpoints on benchmarks."""
