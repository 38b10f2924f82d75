"""The job file and the messages about it."""
