"""Kernels in C for CPUs with AMX, which multiply tiles in hardware; gcc builds them once.

`tiles.h` describes the blocked memory layout of rows that the kernels share.
"""
