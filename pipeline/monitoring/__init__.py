"""Monitor a run: progress, watchdog, stacks of processes."""
