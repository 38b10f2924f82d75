"""Progress, metrics, the watchdog and stacks of processes."""
