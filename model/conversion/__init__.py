"""Checkpoints of other projects, converted to the layout of this one."""
