"""Layers in tiles, for CPUs that multiply tiles in hardware (AMX): kernels of our own in C, which gcc builds once.

`tiles.h` tells how rows lie in blocks, which is what passes from kernel to kernel.
"""
