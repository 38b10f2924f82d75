"""The command that measures speed: trunk, heads, ranks, whole jobs, and peers beside them."""
