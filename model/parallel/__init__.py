"""Tensor parallelism: the shard group, its collectives, and layers that are sharded over it."""
