"""The commands: one folder or file each, `python -m jobs.NAME`."""
