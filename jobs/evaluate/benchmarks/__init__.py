"""The benchmarks, one a file: what their files look like, and how they become examples."""
