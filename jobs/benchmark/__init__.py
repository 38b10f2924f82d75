"""The command that measures speed: trunk, heads, ranks and whole jobs, beside other implementations."""
